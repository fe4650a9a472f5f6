import { useState } from 'react'
import { pictureKey, picturesOf } from '../gallery/entry.ts'
import { useGalleryStore } from '../gallery/gallery-context.ts'
import { useEntries } from '../gallery/use-gallery.ts'
import { useTexts } from '../texts/use-texts.ts'
import { Dialog } from './Dialog.tsx'
import { GalleryTile } from './GalleryTile.tsx'
import { Columns2, Trash2 } from './icons.ts'
import { usePageActions } from './page-actions.ts'

const PAGE = 24
export const MAX_COMPARED = 4 // more would be too small to compare

/** The requests of this browser, newest first. */
export function Gallery({ ids }: { ids: string[] }) {
  const texts = useTexts()
  const [shown, setShown] = useState(PAGE)
  const [picked, setPicked] = useState<string[]>()
  const entries = useEntries(ids.slice(0, shown))
  const { isLasting } = useGalleryStore()
  const { compare } = usePageActions()
  const pictures = picturesOf(entries)

  function finishPicking() {
    const refs = pictures.filter((picture) => picked?.includes(pictureKey(picture)))
    setPicked(undefined)
    compare(refs)
  }

  function toggle(key: string) {
    setPicked((keys = []) => (keys.includes(key) ? keys.filter((other) => other !== key) : [...keys, key]))
  }

  return (
    <section className="gallery" aria-labelledby="gallery-title">
      <div className="gallery-head">
        <h2 id="gallery-title">{texts.galleryTitle}</h2>
        <p className="hint">{isLasting ? texts.galleryKept : texts.galleryUnkept}</p>
        {picked ? (
          <PickBar count={picked.length} onCompare={finishPicking} onCancel={() => setPicked(undefined)} />
        ) : (
          <div className="actions">
            {pictures.length > 1 && (
              <button type="button" className="button" onClick={() => setPicked([])}>
                <Columns2 aria-hidden />
                {texts.compare}
              </button>
            )}
            <ClearButton ids={ids} />
          </div>
        )}
      </div>
      <ul className="gallery-tiles">
        {entries.flatMap((entry) =>
          entry.resource.images.map((image) => {
            const key = pictureKey({ entry, image })
            const isPicked = picked?.includes(key)
            const isFull = (picked?.length ?? 0) >= MAX_COMPARED
            return (
              <GalleryTile
                key={key}
                picture={{ entry, image }}
                pick={picked && { isPicked: isPicked === true, isFull, toggle: () => toggle(key) }}
              />
            )
          }),
        )}
      </ul>
      {ids.length > shown && (
        <button type="button" className="button more" onClick={() => setShown(shown + PAGE)}>
          {texts.showMore}
        </button>
      )}
    </section>
  )
}

type PickBarProps = { count: number; onCompare: () => void; onCancel: () => void }

function PickBar({ count, onCompare, onCancel }: PickBarProps) {
  const texts = useTexts()
  return (
    <div className="actions pick-bar">
      <span role="status">
        {count === 0 ? texts.compareHint(MAX_COMPARED) : texts.compareSelected(count)}
      </span>
      <button type="button" className="button" onClick={onCancel}>
        {texts.cancel}
      </button>
      <button type="button" className="button strong" disabled={count < 2} onClick={onCompare}>
        {texts.compare}
      </button>
    </div>
  )
}

function ClearButton({ ids }: { ids: string[] }) {
  const texts = useTexts()
  const { remove } = usePageActions()
  const [isAsking, setAsking] = useState(false)
  const count = picturesOf(useEntries(ids)).length
  return (
    <>
      <button type="button" className="button" onClick={() => setAsking(true)}>
        <Trash2 aria-hidden />
        {texts.clear}
      </button>
      {isAsking && (
        <Dialog title={texts.clearTitle} className="small" onClose={() => setAsking(false)}>
          <p>{texts.clearHint(count)}</p>
          <div className="actions end">
            <button type="button" className="button" onClick={() => setAsking(false)}>
              {texts.keep}
            </button>
            <button
              type="button"
              className="button danger"
              onClick={() => {
                setAsking(false)
                remove(ids)
              }}
            >
              {texts.clear}
            </button>
          </div>
        </Dialog>
      )}
    </>
  )
}
