import { toLink } from '../draft/draft-link.ts'
import type { PictureRef } from '../gallery/entry.ts'
import { type Entry, fileName, picturesOf, toDraft } from '../gallery/entry.ts'
import { usePicture } from '../gallery/use-picture.ts'
import { useTexts } from '../texts/use-texts.ts'
import { CopyButton } from './CopyButton.tsx'
import { Columns2, Download, ImageUp, RefreshCw, Settings2 } from './icons.ts'
import { usePageActions } from './page-actions.ts'

/** What can be done with a request that is over. */
export function RequestActions({ entry }: { entry: Entry }) {
  const texts = useTexts()
  const { reuse, drawAgain, compare, startFrom } = usePageActions()
  const pictures = picturesOf([entry])
  const [only] = pictures
  return (
    <div className="actions">
      <button type="button" className="button" onClick={() => drawAgain(entry)}>
        <RefreshCw aria-hidden />
        {texts.again}
      </button>
      {pictures.length > 1 && (
        <button type="button" className="button" onClick={() => compare(pictures)}>
          <Columns2 aria-hidden />
          {texts.compare}
        </button>
      )}
      {only && pictures.length === 1 && <DownloadLink picture={only} />}
      <button type="button" className="button" onClick={() => reuse(entry)}>
        <Settings2 aria-hidden />
        {texts.reuse}
      </button>
      {startFrom && only && pictures.length === 1 && (
        <button type="button" className="button" onClick={() => startFrom(only)}>
          <ImageUp aria-hidden />
          {texts.startFrom}
        </button>
      )}
      <CopyButton link={toLink(toDraft(entry))} />
    </div>
  )
}

/** Saves a picture under a name that says what is in it. */
export function DownloadLink({ picture: { entry, image } }: { picture: PictureRef }) {
  const texts = useTexts()
  const { url, mediaType } = usePicture(entry.id, image.index)
  const { prompt } = entry.resource.request
  if (!url) return null
  return (
    <a
      className="button"
      href={url}
      download={fileName(prompt, image.seed, mediaType)}
      aria-label={texts.downloadOf(prompt, image.seed)}
    >
      <Download aria-hidden />
      {texts.download}
    </a>
  )
}
