import type { Image } from '@sdcpu/contract'
import { useMemo, useRef, useState } from 'react'
import { toSubmission, useCreateImages } from '../api/create-images.ts'
import { useRecovery } from '../api/list-images.ts'
import { useModels } from '../api/list-models.ts'
import { type ImagesInput, modelOf, readDraft } from '../draft/read-draft.ts'
import { useDraft } from '../draft/use-draft.ts'
import { type Entry, type PictureRef, picturesOf, toDraft } from '../gallery/entry.ts'
import { useGalleryStore } from '../gallery/gallery-context.ts'
import { useEntries, useEntry, useFollow, useGallery } from '../gallery/use-gallery.ts'
import { useRemoval } from '../gallery/use-removal.ts'
import { useInputPicture } from '../input/use-input-picture.ts'
import { useDocumentLanguage, useTexts } from '../texts/use-texts.ts'
import { useTitle } from '../use-title.ts'
import { Comparison } from './Comparison.tsx'
import { Composer } from './Composer.tsx'
import { EmptyStage } from './EmptyStage.tsx'
import { Footer } from './Footer.tsx'
import { Gallery } from './Gallery.tsx'
import { Header } from './Header.tsx'
import { type PageActions, PageActionsContext } from './page-actions.ts'
import { ServiceNotice } from './ServiceNotice.tsx'
import { SendingStage, Stage } from './Stage.tsx'
import { UndoToast } from './UndoToast.tsx'
import { Viewer } from './Viewer.tsx'

/** The whole page. */
export function App() {
  const texts = useTexts()
  const [draft, setDraft] = useDraft()
  const [viewed, setViewed] = useState<PictureRef>()
  const [compared, setCompared] = useState<PictureRef[]>()
  const stage = useRef<HTMLElement>(null)
  const { data: models = [] } = useModels()
  const store = useGalleryStore()
  const start = useInputPicture()
  const create = useCreateImages()
  const removal = useRemoval()
  const ids = useGallery()
  const [newest, ...earlier] = ids ?? []
  useFollow(ids ?? [])
  useRecovery()
  useDocumentLanguage()
  useTitle(newest)

  function generate(input: ImagesInput, picture = start.picture?.bytes) {
    create.mutate(toSubmission(input, picture))
    bringIntoView(stage.current)
  }

  async function reuse(entry: Entry, image?: Image) {
    setDraft(toDraft(entry, image))
    bringIntoView(document.getElementById('prompt'))
    start.clear()
    if (entry.resource.request.strength !== undefined) await start.choose(await store.getInput(entry.id))
  }

  async function drawAgain(entry: Entry) {
    const again = { ...toDraft(entry), seed: '' }
    const picture = again.strength === undefined ? undefined : await store.getInput(entry.id)
    // What it began with is no longer there: the form says so.
    if (again.strength !== undefined && !picture) return reuse(entry)
    const model = models.find(({ name }) => name === again.model)
    const read = readDraft(again, model, picture !== undefined)
    if ('input' in read) generate(read.input, picture)
  }

  async function startFrom({ entry, image }: PictureRef) {
    await start.choose(await store.getPicture(entry.id, image.index))
    setDraft((now) => ({ ...now, prompt: now.prompt || entry.resource.request.prompt }))
    bringIntoView(document.getElementById('prompt'))
  }

  const actions: PageActions = {
    reuse: (entry, image) => void reuse(entry, image),
    startFrom: modelOf(draft, models)?.drawsFromImage ? (picture) => void startFrom(picture) : undefined,
    keepSeed: (seed) => setDraft((now) => ({ ...now, seed: String(seed) })),
    drawAgain: (entry) => void drawAgain(entry),
    open: setViewed,
    compare: setCompared,
    remove: (ids) => void removal.remove(ids),
  }

  return (
    <PageActionsContext value={actions}>
      <a className="skip" href="#prompt">
        {texts.skipToPrompt}
      </a>
      <Header />
      <main className="main">
        <ServiceNotice />
        <div className="desk">
          <div className="panel">
            <Composer
              draft={draft}
              onDraft={setDraft}
              onGenerate={generate}
              models={models}
              start={start}
              lastSeed={useEntry(newest ?? '').entry?.resource.request.seed}
              isSending={create.isPending}
              failure={failureOf(create)}
            />
          </div>
          <section className="stage" ref={stage} aria-label={texts.stageTitle}>
            {create.isPending ? (
              <SendingStage input={create.variables.input} />
            ) : newest ? (
              <Stage key={newest} id={newest} />
            ) : (
              ids && <EmptyStage onPick={(prompt) => setDraft((now) => ({ ...now, prompt }))} />
            )}
          </section>
        </div>
        {earlier.length > 0 && <Gallery ids={earlier} />}
      </main>
      <Footer />
      {viewed && (
        <GalleryViewer
          ids={ids ?? []}
          viewed={viewed}
          onShow={setViewed}
          onClose={() => setViewed(undefined)}
        />
      )}
      {compared && <Comparison pictures={compared} onClose={() => setCompared(undefined)} />}
      {removal.canUndo && <UndoToast onUndo={removal.undo} onOver={removal.letGo} />}
    </PageActionsContext>
  )
}

type GalleryViewerProps = {
  ids: string[]
  viewed: PictureRef
  onShow: (picture: PictureRef) => void
  onClose: () => void
}

function GalleryViewer({ ids, viewed, onShow, onClose }: GalleryViewerProps) {
  const entries = useEntries(ids)
  const pictures = useMemo(() => picturesOf(entries), [entries])
  return <Viewer picture={viewed} pictures={pictures} onShow={onShow} onClose={onClose} />
}

function failureOf({ error, variables, mutate }: ReturnType<typeof useCreateImages>) {
  if (!error || !variables) return undefined
  return { error, onRetry: () => mutate({ ...variables, startedAtMs: Date.now() }) }
}

/** Where the page is one column, what comes next may lie out of sight. */
function bringIntoView(element: HTMLElement | null) {
  if (!matchMedia('(max-width: 60rem)').matches) return
  const behavior = matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth'
  element?.scrollIntoView({ behavior, block: 'start' })
}
