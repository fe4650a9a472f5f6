import { Component, type ReactNode } from 'react'
import { forgetEverything } from '../gallery/gallery-store.ts'
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
      <div className="actions">
        <button type="button" className="button strong" onClick={() => location.reload()}>
          {texts.reload}
        </button>
        <button type="button" className="button" onClick={startAfresh}>
          {texts.startAfresh}
        </button>
      </div>
    </main>
  )
}

/** For the case that what is kept is what breaks the page. */
async function startAfresh(): Promise<void> {
  await forgetEverything()
  location.reload()
}
