import type { ImagesResource } from '@sdcpu/contract'
import { fractionDone, progressParts } from '../progress.ts'
import { useTexts } from '../texts/use-texts.ts'

/** How far a request is: one part a step, or one part a picture when there are several. */
export function ProgressLine({ images, isMoving }: { images: ImagesResource['images']; isMoving: boolean }) {
  const texts = useTexts()
  const parts = progressParts({ images })
  const active = isMoving ? parts.findIndex((done) => done < 1) : -1
  return (
    <div
      className="progress"
      role="progressbar"
      aria-label={texts.percentLabel}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(fractionDone(images) * 100)}
    >
      {parts.map((done, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the parts have no other identity and never change places
        <span key={index} className={index === active ? 'part active' : 'part'}>
          <span className="part-done" style={{ scale: `${done} 1` }} />
        </span>
      ))}
    </div>
  )
}
