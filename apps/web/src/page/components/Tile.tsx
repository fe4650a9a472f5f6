import type { Image } from '@sdcpu/contract'
import type { CSSProperties } from 'react'
import { isTerminal } from '../progress.ts'
import { texts } from '../texts.ts'
import { Picture } from './Picture.tsx'

type TileProps = {
  image: Image
  prompt: string
  onUseSeed: (seed: number) => void
  onOpen?: (() => void) | undefined
}

/** The place of one picture: a shimmer while it is drawn, then the picture, or words when there will be none. */
export function Tile({ image, prompt, onUseSeed, onOpen }: TileProps) {
  if (image.status === 'succeeded' && image.url) {
    return (
      <Picture image={{ ...image, url: image.url }} prompt={prompt} onUseSeed={onUseSeed} onOpen={onOpen} />
    )
  }
  if (!isTerminal(image.status)) return <Pending image={image} />
  const isGone = image.status === 'succeeded'
  return (
    <div className="frame">
      <p className="frame-words">{isGone ? texts.pictureGone : texts.notDrawn}</p>
    </div>
  )
}

/** The noise in the frame clears as the steps go by, as it does in the model. */
function Pending({ image }: { image: Image }) {
  const noise = 1 - (image.step ?? 0) / image.steps
  return <div className={`frame ${image.status}`} style={{ '--noise': noise } as CSSProperties} />
}
