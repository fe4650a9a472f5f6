import type { Image } from '@sdcpu/contract'
import { useState } from 'react'
import { texts } from '../texts.ts'

type PictureProps = {
  image: Image & { url: string }
  prompt: string
  onUseSeed: (seed: number) => void
  /** What a press on the picture does; without it the picture is no button. */
  onOpen?: (() => void) | undefined
}

/** A finished picture with its seed and its download. */
export function Picture({ image, prompt, onUseSeed, onOpen }: PictureProps) {
  const [state, setState] = useState<'loading' | 'shown' | 'gone'>('loading')
  const picture =
    state === 'gone' ? (
      <p className="frame-words">{texts.pictureGone}</p>
    ) : (
      <img
        src={image.url}
        alt={prompt}
        width={image.width}
        height={image.height}
        className={state}
        onLoad={() => setState('shown')}
        onError={() => setState('gone')}
      />
    )
  return (
    <>
      {onOpen ? (
        <button type="button" className="frame" aria-label={texts.openPicture(prompt)} onClick={onOpen}>
          {picture}
        </button>
      ) : (
        <div className="frame">{picture}</div>
      )}
      <div className="actions">
        <button
          type="button"
          className="quiet"
          title={texts.reuseSeed(image.seed)}
          aria-label={texts.reuseSeed(image.seed)}
          onClick={() => onUseSeed(image.seed)}
        >
          <span className="seed-word">{texts.seedLabel} </span>
          {image.seed}
        </button>
        {state !== 'gone' && (
          <a
            className="quiet"
            href={image.url}
            download={fileName(prompt, image.seed)}
            aria-label={texts.downloadOf(prompt)}
          >
            {texts.download}
          </a>
        )}
      </div>
    </>
  )
}

/** A name that says what is in the file: the first words of the prompt, and the seed that draws it again. */
function fileName(prompt: string, seed: number): string {
  const words = prompt.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ['picture']
  return `${words.slice(0, 6).join('-')}-${seed}.png`
}
