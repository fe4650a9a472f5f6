import type { ImagesResource } from '@sdcpu/contract'
import { type CSSProperties, useEffect } from 'react'
import { ApiError } from '../api/call-api.ts'
import { useCancelImages } from '../api/cancel-images.ts'
import { useModels } from '../api/list-models.ts'
import { describeError } from '../describe-error.ts'
import type { ImagesInput } from '../draft/read-draft.ts'
import { readSize } from '../draft/sizes.ts'
import { type Entry, isSettled } from '../gallery/entry.ts'
import { useEntry } from '../gallery/use-gallery.ts'
import { isTerminal, progressOf, secondsLeft, secondsLeftAtPace } from '../progress.ts'
import { useTexts } from '../texts/use-texts.ts'
import { useNow } from '../use-now.ts'
import { NoiseField } from './Dots.tsx'
import { FailureNotice } from './FailureNotice.tsx'
import { ProgressLine } from './ProgressLine.tsx'
import { usePageActions } from './page-actions.ts'
import { RequestActions } from './RequestActions.tsx'
import { Tile } from './Tile.tsx'

/** The stage while the request is on its way to the API. */
export function SendingStage({ input }: { input: ImagesInput }) {
  const texts = useTexts()
  return (
    <div className="request">
      <div className="tiles" data-count={input.n}>
        {Array.from({ length: input.n }, (_, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: placeholders have no other identity
          <div key={index} className="frame pending queued">
            <NoiseField level={1} ratio={1} seed={index} />
          </div>
        ))}
      </div>
      <p className="status" role="status">
        {texts.sending}
      </p>
    </div>
  )
}

/** The newest request: its pictures, how far they are, and what went wrong. */
export function Stage({ id }: { id: string }) {
  const { entry, error, updatedAtMs } = useEntry(id)
  const { drawAgain } = usePageActions()
  const texts = useTexts()
  if (!entry) return null
  const { resource } = entry
  const failure = entry.isForgotten && entry.kept.length === 0 ? FORGOTTEN : failureOf(resource)
  const notice = failure && <FailureNotice error={failure} onRetry={() => drawAgain(entry)} />
  const isOver = entry.isForgotten || isTerminal(resource.status)
  return (
    <div className="request" style={frameSize(resource)}>
      {isOver && isSettled(entry) && entry.kept.length === 0 ? (
        <div className="frame vacant">{notice ?? <p>{texts.nothingDrawn}</p>}</div>
      ) : (
        <div className="tiles" data-count={resource.images.length}>
          {resource.images.map((image) => (
            <Tile key={image.index} entry={entry} image={image} />
          ))}
        </div>
      )}
      {!notice && <Status entry={entry} error={error} updatedAtMs={updatedAtMs} />}
      {entry.kept.length > 0 && notice}
      <p className="prompt-line">{resource.request.prompt}</p>
      {isOver && <RequestActions entry={entry} />}
    </div>
  )
}

const FORGOTTEN = new ApiError('expired', 'The API has forgotten the request')

type StatusProps = { entry: Entry; error: Error | null; updatedAtMs: number }

function Status({ entry, error, updatedAtMs }: StatusProps) {
  const texts = useTexts()
  const { images, status, request } = entry.resource
  const isOver = isTerminal(status)
  const isWorkerAway = useModels().data?.find(({ name }) => name === request.model)?.status === 'away'
  const nowMs = useNow(!isOver)
  const progress = progressOf(entry.resource)
  const left = isOver || error ? undefined : timeLeft(entry, { updatedAtMs, nowMs })
  const seconds = Math.max(0, Math.round(((entry.endedAtMs ?? nowMs) - entry.startedAtMs) / 1000))
  return (
    <div className="progress-block">
      {!isOver && <ProgressLine images={images} isMoving={progress.phase !== 'waiting' && !error} />}
      <div className="status">
        <span role="status">{texts.progress(progress)}</span>
        <span className="clock">
          {left === undefined ? texts.duration(seconds) : texts.timeLeft(texts.duration(left))}
        </span>
        {!isOver && <CancelButton id={entry.id} />}
      </div>
      {error && (
        <p className="fault">
          {describeError(error, texts).title} {texts.awayHint}
        </p>
      )}
      {!error && progress.phase === 'waiting' && isWorkerAway && <p className="hint">{texts.noWorker}</p>}
    </div>
  )
}

/** What the API foretells, or else what the pace so far comes to. */
function timeLeft(entry: Entry, { updatedAtMs, nowMs }: { updatedAtMs: number; nowMs: number }) {
  const { images } = entry.resource
  const { runningSinceMs = nowMs } = entry
  return secondsLeft(images, nowMs - updatedAtMs) ?? secondsLeftAtPace(images, nowMs - runningSinceMs)
}

/** Calls the request off; so does Esc. */
function CancelButton({ id }: { id: string }) {
  const texts = useTexts()
  const { mutate, isPending, isError } = useCancelImages()
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const isElsewhere = event.target instanceof HTMLSelectElement || document.querySelector('dialog[open]')
      if (event.key === 'Escape' && !event.isComposing && !isElsewhere) mutate(id)
    }
    addEventListener('keydown', onKeyDown)
    return () => removeEventListener('keydown', onKeyDown)
  }, [id, mutate])
  return (
    <>
      {isError && <span className="fault">{texts.cancelFailed}</span>}
      <button type="button" className="button" disabled={isPending} onClick={() => mutate(id)}>
        {isPending ? texts.canceling : texts.cancel}
        <span className="key" aria-hidden="true">
          Esc
        </span>
      </button>
    </>
  )
}

/** The frame has the shape of the picture to come, and small pictures are not blown up beyond what they can bear. */
function frameSize({ request, images }: ImagesResource): CSSProperties {
  const size = readSize(request.size)
  if (!size) return {}
  const columns = Math.min(images.length, 2)
  return { '--ratio': size.width / size.height, '--pixels': size.width * columns } as CSSProperties
}

function failureOf({ status, images, id }: ImagesResource): ApiError | undefined {
  if (status !== 'failed') return undefined
  const error = images.find((image) => image.error)?.error
  return error && new ApiError(error.code, error.message, { requestId: id, category: error.category })
}
