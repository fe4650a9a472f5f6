import { useImages } from '../api/get-images.ts'
import { texts } from '../texts.ts'
import type { Entry } from './App.tsx'
import { Tile } from './Tile.tsx'

type EarlierProps = { entries: Entry[]; onShow: (id: string) => void; onUseSeed: (seed: number) => void }

/** The other requests of this visit, newest first. */
export function Earlier({ entries, onShow, onUseSeed }: EarlierProps) {
  if (entries.length === 0) return null
  return (
    <section className="earlier" aria-labelledby="earlier-title">
      <h2 id="earlier-title">{texts.earlierTitle}</h2>
      <ul className="gallery">
        {entries.map((entry) => (
          <EarlierRequest
            key={entry.id}
            entry={entry}
            onShow={() => onShow(entry.id)}
            onUseSeed={onUseSeed}
          />
        ))}
      </ul>
    </section>
  )
}

type EarlierRequestProps = { entry: Entry; onShow: () => void; onUseSeed: (seed: number) => void }

function EarlierRequest({ entry, onShow, onUseSeed }: EarlierRequestProps) {
  const { data } = useImages(entry.id)
  return data?.images.map((image) => (
    <li key={image.index} className="tile">
      <Tile image={image} prompt={entry.input.prompt} onUseSeed={onUseSeed} onOpen={onShow} />
      <p className="caption">{entry.input.prompt}</p>
    </li>
  ))
}
