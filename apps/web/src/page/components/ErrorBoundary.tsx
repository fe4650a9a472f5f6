import { Component, type ReactNode } from 'react'
import { useTexts } from '../texts/use-texts.ts'

/** Shows a way out where a component has thrown, instead of an empty page. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { hasFailed: boolean }> {
  override state = { hasFailed: false }

  static getDerivedStateFromError() {
    return { hasFailed: true }
  }

  override render() {
    return this.state.hasFailed ? <BrokenPage /> : this.props.children
  }
}

function BrokenPage() {
  const texts = useTexts()
  return (
    <main className="broken" role="alert">
      <h1>{texts.needsReload}</h1>
      <p>{texts.needsReloadHint}</p>
      <button type="button" className="button strong" onClick={() => location.reload()}>
        {texts.reload}
      </button>
    </main>
  )
}
