import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './components/App.tsx'
import './page.css'

const client = new QueryClient({
  defaultOptions: {
    // 'always': the API may well be on this machine while the browser believes to be offline.
    mutations: { networkMode: 'always' },
    queries: {
      networkMode: 'always',
      // The polling asks again by itself, and what has ended does not change any more.
      retry: false,
      staleTime: Number.POSITIVE_INFINITY,
      refetchOnWindowFocus: false,
    },
  },
})

const root = document.getElementById('root')
if (!root) throw new Error('index.html has no #root. This is a bug.')
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <App />
    </QueryClientProvider>
  </StrictMode>,
)
