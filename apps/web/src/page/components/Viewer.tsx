import { useEffect } from 'react'
import { toLink } from '../draft/draft-link.ts'
import { type PictureRef, pictureKey, toDraft } from '../gallery/entry.ts'
import { drawnInSeconds, settingsOf } from '../gallery/settings-of.ts'
import { useInputUrl } from '../gallery/use-picture.ts'
import { useLanguage, useTexts } from '../texts/use-texts.ts'
import { CopyButton } from './CopyButton.tsx'
import { Dialog } from './Dialog.tsx'
import { ChevronLeft, ChevronRight, ImageUp, Lock, RefreshCw, Settings2, Trash2 } from './icons.ts'
import { usePageActions } from './page-actions.ts'
import { DownloadLink } from './RequestActions.tsx'
import { KeptPicture } from './Tile.tsx'

type ViewerProps = {
  picture: PictureRef
  /** All that can be turned to from here. */
  pictures: PictureRef[]
  onShow: (picture: PictureRef) => void
  onClose: () => void
}

/** One picture large, with everything it was drawn with. */
export function Viewer({ picture, pictures, onShow, onClose }: ViewerProps) {
  const texts = useTexts()
  const position = pictures.findIndex((other) => pictureKey(other) === pictureKey(picture))
  const previous = pictures[position - 1]
  const next = pictures[position + 1]
  useArrowKeys({ onLeft: () => previous && onShow(previous), onRight: () => next && onShow(next) })
  return (
    <Dialog title={texts.stageTitle} className="viewer" onClose={onClose}>
      <div className="viewer-body">
        <div className="viewer-picture" key={pictureKey(picture)}>
          <KeptPicture entry={picture.entry} image={picture.image} />
          <Turn to={previous} words={texts.previous} side="left" onShow={onShow} />
          <Turn to={next} words={texts.next} side="right" onShow={onShow} />
        </div>
        <div className="viewer-side">
          <Details picture={picture} />
          <ViewerActions picture={picture} onClose={onClose} />
        </div>
      </div>
    </Dialog>
  )
}

function Details({ picture }: { picture: PictureRef }) {
  const texts = useTexts()
  const { language } = useLanguage()
  const seconds = drawnInSeconds(picture)
  const date = new Date(picture.entry.startedAtMs)
  return (
    <>
      <p className="viewer-prompt">{picture.entry.resource.request.prompt}</p>
      {picture.entry.resource.request.strength !== undefined && <StartedFrom id={picture.entry.id} />}
      <dl className="details">
        {settingsOf(picture).map(({ name, value }) => (
          <Detail key={name} name={texts.detail[name]} value={value} />
        ))}
        {seconds !== undefined && (
          <Detail
            name={texts.detail.time}
            value={texts.duration(Number(seconds.toFixed(seconds < 10 ? 1 : 0)))}
          />
        )}
        <Detail
          name={texts.detail.date}
          value={date.toLocaleString(language, { dateStyle: 'medium', timeStyle: 'short' })}
        />
      </dl>
    </>
  )
}

/** What a request began with, as long as it is kept. */
function StartedFrom({ id }: { id: string }) {
  const texts = useTexts()
  const url = useInputUrl(id)
  return (
    url && (
      <figure className="started-from">
        <figcaption className="hint">{texts.startedFrom}</figcaption>
        <img src={url} alt={texts.startPicture} />
      </figure>
    )
  )
}

function Detail({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  )
}

function ViewerActions({ picture, onClose }: { picture: PictureRef; onClose: () => void }) {
  const texts = useTexts()
  const { reuse, keepSeed, drawAgain, startFrom, remove } = usePageActions()
  const { entry, image } = picture
  const closing = (act: () => void) => () => {
    onClose()
    act()
  }
  return (
    <div className="actions">
      <DownloadLink picture={picture} />
      <CopyButton link={toLink(toDraft(entry, image))} />
      <button type="button" className="button" onClick={closing(() => reuse(entry, image))}>
        <Settings2 aria-hidden />
        {texts.reuse}
      </button>
      <button type="button" className="button" onClick={closing(() => keepSeed(image.seed))}>
        <Lock aria-hidden />
        {texts.sameSeed}
      </button>
      <button type="button" className="button" onClick={closing(() => drawAgain(entry))}>
        <RefreshCw aria-hidden />
        {texts.again}
      </button>
      {startFrom && (
        <button type="button" className="button" onClick={closing(() => startFrom(picture))}>
          <ImageUp aria-hidden />
          {texts.startFrom}
        </button>
      )}
      <button type="button" className="button" onClick={closing(() => remove([entry.id]))}>
        <Trash2 aria-hidden />
        {texts.remove}
      </button>
    </div>
  )
}

type TurnProps = {
  to: PictureRef | undefined
  words: string
  side: 'left' | 'right'
  onShow: (picture: PictureRef) => void
}

function Turn({ to, words, side, onShow }: TurnProps) {
  if (!to) return null
  const Arrow = side === 'left' ? ChevronLeft : ChevronRight
  return (
    <button
      type="button"
      className={`icon-button turn ${side}`}
      aria-label={words}
      onClick={() => onShow(to)}
    >
      <Arrow aria-hidden />
    </button>
  )
}

function useArrowKeys({ onLeft, onRight }: { onLeft: () => void; onRight: () => void }) {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key === 'ArrowLeft') onLeft()
      if (event.key === 'ArrowRight') onRight()
    }
    addEventListener('keydown', onKeyDown)
    return () => removeEventListener('keydown', onKeyDown)
  })
}
