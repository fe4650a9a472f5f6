import type { ImagesResource } from '@sdcpu/contract'
import type { CSSProperties } from 'react'
import { ApiError } from '../api/call-api.ts'
import { useImages } from '../api/get-images.ts'
import { describeError } from '../describe-error.ts'
import { isTerminal, progressOf } from '../progress.ts'
import type { ImagesInput } from '../read-draft.ts'
import { texts } from '../texts.ts'
import { useNow } from '../use-now.ts'
import type { Entry } from './App.tsx'
import { FailureNotice } from './FailureNotice.tsx'
import { ProgressLine } from './ProgressLine.tsx'
import { Tile } from './Tile.tsx'

/** The stage before anything was asked for. */
export function EmptyStage() {
  return (
    <div className="frame empty">
      <p className="frame-words">
        <EmptyPicture />
        <strong>{texts.emptyTitle}</strong>
        {texts.emptyHint}
      </p>
    </div>
  )
}

function EmptyPicture() {
  return (
    <svg viewBox="0 0 48 48" aria-hidden="true">
      <rect x="5" y="8" width="38" height="32" rx="6" />
      <circle cx="32" cy="18.5" r="3.5" />
      <path d="m6 35 11-13 8.5 10 4.5-5.5L42 37" />
    </svg>
  )
}

/** The stage while the request is on its way to the API. */
export function SendingStage({ input }: { input: ImagesInput }) {
  return (
    <>
      <div className="tiles" data-count={input.n}>
        {Array.from({ length: input.n }, (_, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: placeholders have no other identity
          <div key={index} className="tile">
            <div className="frame queued" />
          </div>
        ))}
      </div>
      <div className="status" role="status">
        <span>{texts.sending}</span>
      </div>
    </>
  )
}

type StageProps = { entry: Entry; onRetry: (input: ImagesInput) => void; onUseSeed: (seed: number) => void }

/** The request in front: its pictures, how far they are, and what went wrong. */
export function Stage({ entry, onRetry, onUseSeed }: StageProps) {
  const { data: images, error, dataUpdatedAt } = useImages(entry.id)
  if (!images) return <SendingStage input={entry.input} />
  const isOver = isTerminal(images.status)
  const failure = isOver ? failureOf(images) : isLost(error) ? error : undefined
  const notice = failure && <FailureNotice error={failure} onRetry={() => onRetry(entry.input)} />
  const hasPictures = images.images.some((image) => image.status === 'succeeded')
  return (
    <div className="request" style={frameSize(images)}>
      {notice && !hasPictures ? (
        <div className="frame empty">{notice}</div>
      ) : (
        <>
          <div className="tiles" data-count={images.images.length}>
            {images.images.map((image) => (
              <div key={image.index} className="tile">
                <Tile image={image} prompt={entry.input.prompt} onUseSeed={onUseSeed} />
              </div>
            ))}
          </div>
          <Status images={images} entry={entry} endedAtMs={isOver ? dataUpdatedAt : undefined} />
          {notice}
        </>
      )}
      {!isOver && !notice && error && (
        <p className="away">
          {describeError(error).title} {texts.stillAsking}
        </p>
      )}
      <p className="caption">{entry.input.prompt}</p>
    </div>
  )
}

function Status({
  images,
  entry,
  endedAtMs,
}: {
  images: ImagesResource
  entry: Entry
  endedAtMs: number | undefined
}) {
  const nowMs = useNow(endedAtMs === undefined)
  const seconds = Math.max(0, Math.round(((endedAtMs ?? nowMs) - entry.startedAtMs) / 1000))
  const progress = progressOf(images)
  return (
    <div className="progress-block">
      {endedAtMs === undefined && (
        <ProgressLine images={images.images} isMoving={progress.phase !== 'waiting'} />
      )}
      <div className="status">
        <span role="status">{texts.progress(progress)}</span>
        <span className="elapsed">{texts.elapsed(seconds)}</span>
      </div>
    </div>
  )
}

/** The frame has the shape of the picture to come, and small pictures are not blown up beyond what they can bear. */
function frameSize({ request, images }: ImagesResource): CSSProperties {
  const [width, height] = request.size.split('x').map(Number)
  if (!width || !height) return {}
  const columns = Math.min(images.length, 2)
  return { '--ratio': `${width} / ${height}`, '--pixels': width * columns } as CSSProperties
}

function isLost(error: unknown): boolean {
  return error instanceof ApiError && ['image_not_found', 'expired'].includes(error.code)
}

function failureOf(images: ImagesResource): ApiError | undefined {
  const error = images.images.find((image) => image.error)?.error
  return error && new ApiError(error.code, error.message, { requestId: images.id })
}
