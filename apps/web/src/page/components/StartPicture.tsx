import type { Model } from '@sdcpu/contract'
import { useId, useRef } from 'react'
import type { Draft } from '../draft/read-draft.ts'
import { useObjectUrl } from '../gallery/use-picture.ts'
import { drawnSteps, effectiveStrength, leastStrength, STRENGTH_STEP } from '../input/strength.ts'
import type { InputChoice } from '../input/use-input-picture.ts'
import { usePictureDrops } from '../input/use-picture-drops.ts'
import { useTexts } from '../texts/use-texts.ts'
import { ImagePlus, ImageUp, X } from './icons.ts'
import { Slider } from './Slider.tsx'

type StartPictureProps = {
  choice: InputChoice
  draft: Draft
  onChange: (part: Partial<Draft>) => void
  model: Model
}

/** Where a picture to begin with is chosen, dropped or pasted, and how far from it the new one may go. */
export function StartPicture({ choice, draft, onChange, model }: StartPictureProps) {
  const { picture, fault, choose, clear } = choice
  const texts = useTexts()
  const file = useRef<HTMLInputElement>(null)
  // One button for both states, so that the focus stays on it when a picture comes or goes.
  const button = useRef<HTMLButtonElement>(null)
  const faultId = useId()
  const url = useObjectUrl(picture?.bytes)
  const isOver = usePictureDrops(choose)
  const size = picture && `${picture.width} × ${picture.height}`
  return (
    <fieldset
      className={`start-picture ${picture ? 'chosen' : ''} ${isOver ? 'over' : ''}`}
      aria-label={texts.startPicture}
    >
      <input
        ref={file}
        className="start-file"
        type="file"
        accept="image/*"
        hidden
        onChange={(event) => {
          const [chosen] = event.target.files ?? []
          if (chosen) void choose(chosen)
          event.target.value = '' // or the same file could not be chosen again
        }}
      />
      <button
        ref={button}
        type="button"
        className="start-choose"
        aria-label={size && texts.replaceStart(size)}
        aria-describedby={faultId}
        title={size && texts.replaceStart(size)}
        onClick={() => file.current?.click()}
      >
        {picture ? (
          <>
            <img src={url} alt="" />
            <span className="start-badge" aria-hidden="true">
              <ImageUp />
            </span>
          </>
        ) : (
          <>
            <ImagePlus aria-hidden />
            <span>{isOver ? texts.startDrop : texts.startFromPicture}</span>
            {!isOver && <span className="hint">{texts.startHint}</span>}
          </>
        )}
      </button>
      {picture && <Strength {...{ draft, onChange, model }} />}
      {picture && (
        <button
          type="button"
          className="icon-button"
          aria-label={texts.removeStart}
          title={texts.removeStart}
          onClick={() => {
            clear()
            button.current?.focus()
          }}
        >
          <X aria-hidden />
        </button>
      )}
      <p id={faultId} className="fault" role="alert">
        {fault && texts.startFaults[fault]}
      </p>
      <p className="unseen" role="status">
        {size && texts.startChosen(size)}
      </p>
    </fieldset>
  )
}

function Strength({ draft, onChange, model }: Pick<StartPictureProps, 'draft' | 'onChange' | 'model'>) {
  const texts = useTexts()
  const steps = draft.steps ?? model.defaultSteps
  const strength = effectiveStrength(draft.strength, steps)
  return (
    <div className="start-strength">
      <Slider
        label={texts.strength}
        value={draft.strength === undefined ? undefined : strength}
        automatic={effectiveStrength(undefined, steps)}
        fallback={strength}
        min={leastStrength(steps)}
        max={1}
        step={STRENGTH_STEP}
        onChange={(strength) => onChange({ strength })}
      />
      <p className="hint">{texts.strengthHint(drawnSteps(steps, strength), steps)}</p>
    </div>
  )
}
