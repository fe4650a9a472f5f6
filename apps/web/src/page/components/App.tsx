import { useRef, useState } from 'react'
import { useCreateImages } from '../api/create-images.ts'
import type { Draft, ImagesInput } from '../read-draft.ts'
import { texts } from '../texts.ts'
import { Composer } from './Composer.tsx'
import { Earlier } from './Earlier.tsx'
import { EmptyStage, SendingStage, Stage } from './Stage.tsx'

/** A request made during this visit. */
export type Entry = { id: string; input: ImagesInput; startedAtMs: number }

/** The whole page. */
export function App() {
  const [draft, setDraft] = useState<Draft>({ prompt: '', seed: '', n: 1 })
  const [entries, setEntries] = useState<Entry[]>([])
  const [shownId, setShownId] = useState<string>()
  const stage = useRef<HTMLElement>(null)
  const create = useCreateImages()

  function generate(input: ImagesInput) {
    const startedAtMs = Date.now()
    create.mutate(input, {
      onSuccess({ id }) {
        setEntries((earlier) => [{ id, input, startedAtMs }, ...earlier])
        show(id)
      },
    })
  }

  function show(id: string) {
    setShownId(id)
    bringIntoView(stage.current)
  }

  const shown = entries.find((entry) => entry.id === shownId)
  const reuseSeed = (seed: number) => setDraft((now) => ({ ...now, seed: String(seed) }))

  return (
    <>
      <header className="header">
        <Mark />
        <h1>{texts.title}</h1>
      </header>
      <main className="main">
        <Composer
          draft={draft}
          onDraft={setDraft}
          onGenerate={generate}
          isSending={create.isPending}
          failure={
            create.error && create.variables ? { error: create.error, input: create.variables } : undefined
          }
        />
        <section className="stage" ref={stage} aria-label={texts.stageTitle}>
          {create.isPending ? (
            <SendingStage input={create.variables} />
          ) : shown ? (
            <Stage key={shown.id} entry={shown} onRetry={generate} onUseSeed={reuseSeed} />
          ) : (
            <EmptyStage />
          )}
        </section>
        <Earlier entries={entries.filter((entry) => entry !== shown)} onShow={show} onUseSeed={reuseSeed} />
      </main>
    </>
  )
}

function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <circle cx="21.5" cy="11" r="3.5" />
      <path d="M4 25 12 14l6 8 3-4 7 7z" />
    </svg>
  )
}

/** Where the page is one column, the picture lies below the fold. */
function bringIntoView(element: HTMLElement | null) {
  if (!matchMedia('(max-width: 60rem)').matches) return
  const behavior = matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth'
  element?.scrollIntoView({ behavior, block: 'start' })
}
