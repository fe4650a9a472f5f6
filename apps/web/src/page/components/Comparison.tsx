import { type PictureRef, pictureKey } from '../gallery/entry.ts'
import { differencesOf, settingsOf } from '../gallery/settings-of.ts'
import { useTexts } from '../texts/use-texts.ts'
import { Dialog } from './Dialog.tsx'
import { Lock } from './icons.ts'
import { usePageActions } from './page-actions.ts'
import { KeptPicture } from './Tile.tsx'

/** Pictures side by side, with what they do not have in common. */
export function Comparison({ pictures, onClose }: { pictures: PictureRef[]; onClose: () => void }) {
  const texts = useTexts()
  const { keepSeed } = usePageActions()
  const differences = differencesOf(pictures)
  const prompts = new Set(pictures.map(({ entry }) => entry.resource.request.prompt))
  return (
    <Dialog title={texts.compareTitle} className="comparison" onClose={onClose}>
      {prompts.size === 1 && <p className="viewer-prompt">{[...prompts][0]}</p>}
      <ul className="compared" data-count={pictures.length}>
        {pictures.map((picture) => (
          <li key={pictureKey(picture)}>
            <KeptPicture entry={picture.entry} image={picture.image} />
            {prompts.size > 1 && <p>{picture.entry.resource.request.prompt}</p>}
            <dl className="details">
              {settingsOf(picture)
                .filter(({ name }) => differences.includes(name))
                .map(({ name, value }) => (
                  <div key={name}>
                    <dt>{texts.detail[name]}</dt>
                    <dd>{value}</dd>
                  </div>
                ))}
            </dl>
            <button
              type="button"
              className="button"
              aria-label={texts.sameSeedOf(picture.image.seed)}
              onClick={() => {
                onClose()
                keepSeed(picture.image.seed)
              }}
            >
              <Lock aria-hidden />
              {texts.sameSeed}
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  )
}
