import type { PictureRef } from '../gallery/entry.ts'
import { isTerminal, progressOfImage } from '../progress.ts'
import { useTexts } from '../texts/use-texts.ts'
import { Check, Trash2 } from './icons.ts'
import { usePageActions } from './page-actions.ts'
import { KeptPicture, Tile } from './Tile.tsx'

type GalleryTileProps = {
  picture: PictureRef
  /** Set while pictures are picked for a comparison. */
  pick: { isPicked: boolean; isFull: boolean; toggle: () => void } | undefined
}

/** One picture of the gallery, with what it was asked for. */
export function GalleryTile({ picture, pick }: GalleryTileProps) {
  const texts = useTexts()
  const { remove } = usePageActions()
  const { entry, image } = picture
  const { prompt } = entry.resource.request
  const isKept = entry.kept.includes(image.index)
  const isOver = entry.isForgotten || isTerminal(image.status)
  return (
    <li className="gallery-tile">
      {pick && isKept ? (
        <label className="frame pickable">
          <input
            type="checkbox"
            checked={pick.isPicked}
            disabled={!pick.isPicked && pick.isFull}
            aria-label={texts.pick(prompt, image.seed)}
            onChange={pick.toggle}
          />
          <KeptPicture entry={entry} image={image} />
          <span className="pick-mark" aria-hidden="true">
            {pick.isPicked && <Check />}
          </span>
        </label>
      ) : (
        <Tile entry={entry} image={image} />
      )}
      <div className="gallery-caption">
        <p title={prompt}>{prompt}</p>
        <p className="hint">
          {isOver ? `${texts.seed} ${image.seed}` : texts.progress(progressOfImage(image))}
        </p>
      </div>
      {isOver && !isKept && (
        <button
          type="button"
          className="icon-button corner"
          aria-label={`${texts.remove}: ${prompt}`}
          onClick={() => remove([entry.id])}
        >
          <Trash2 aria-hidden />
        </button>
      )}
    </li>
  )
}
