import type { Image } from '@sdcpu/contract'
import { readSize } from '../draft/sizes.ts'
import { type Entry, type PictureRef, pictureKey } from '../gallery/entry.ts'
import { usePicture } from '../gallery/use-picture.ts'
import { isTerminal } from '../progress.ts'
import { useTexts } from '../texts/use-texts.ts'
import { NoiseField } from './Dots.tsx'
import { usePageActions } from './page-actions.ts'

/** The place of one picture: noise while it is drawn, then the picture, or words when there will be none. */
export function Tile({ entry, image }: { entry: Entry; image: Image }) {
  const texts = useTexts()
  if (entry.kept.includes(image.index))
    return <PictureTile key={pictureKey({ entry, image })} {...{ entry, image }} />
  const isComing =
    !entry.isForgotten && (!isTerminal(image.status) || (image.status === 'succeeded' && image.url))
  if (isComing) return <Pending entry={entry} image={image} />
  const words = { succeeded: texts.pictureGone, canceled: texts.canceledPicture }[image.status as string]
  return (
    <div className="frame vacant">
      <p>{words ?? texts.notDrawn}</p>
    </div>
  )
}

/** A kept picture; a press shows it large. */
function PictureTile({ entry, image }: PictureRef) {
  const texts = useTexts()
  const { open } = usePageActions()
  const { prompt } = entry.resource.request
  return (
    <button
      type="button"
      className="frame"
      aria-label={texts.openPicture(prompt, image.seed)}
      onClick={() => open({ entry, image })}
    >
      <KeptPicture entry={entry} image={image} />
    </button>
  )
}

/** The picture itself. */
export function KeptPicture({ entry, image }: PictureRef) {
  const texts = useTexts()
  const { url } = usePicture(entry.id, image.index)
  if (url === null) return <p className="vacant">{texts.pictureGone}</p>
  if (url === undefined) return <span className="unseen">{texts.pictureLoading}</span>
  return (
    <img
      src={url}
      alt={entry.resource.request.prompt}
      width={image.width}
      height={image.height}
      decoding="async"
    />
  )
}

/** The noise becomes even as the steps go by. */
function Pending({ entry, image }: PictureRef) {
  const size = readSize(entry.resource.request.size)
  const level = 1 - (image.status === 'succeeded' ? 1 : (image.step ?? 0) / image.steps)
  return (
    <div className={`frame pending ${image.status}`}>
      <NoiseField level={level} ratio={size ? size.width / size.height : 1} seed={image.index} />
    </div>
  )
}
