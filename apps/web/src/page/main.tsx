import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './components/App.tsx'
import { ErrorBoundary } from './components/ErrorBoundary.tsx'
import { GalleryContext } from './gallery/gallery-context.ts'
import { openGalleryStore } from './gallery/gallery-store.ts'
import '@fontsource-variable/geist/wght.css'
import './styles/base.css'
import './styles/controls.css'
import './styles/composer.css'
import './styles/stage.css'
import './styles/gallery.css'
import './styles/dialogs.css'

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
      structuralSharing: false,
    },
  },
})

const root = document.getElementById('root')
if (!root) throw new Error('index.html has no #root. This is a bug.')
const store = await openGalleryStore()
createRoot(root).render(
  <StrictMode>
    <ErrorBoundary>
      <QueryClientProvider client={client}>
        <GalleryContext value={store}>
          <App />
        </GalleryContext>
      </QueryClientProvider>
    </ErrorBoundary>
  </StrictMode>,
)
