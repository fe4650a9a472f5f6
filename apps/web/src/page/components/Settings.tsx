import type { Model } from '@sdcpu/contract'
import { useState } from 'react'
import type { Draft } from '../draft/read-draft.ts'
import { showSize } from '../draft/sizes.ts'
import { useTexts } from '../texts/use-texts.ts'
import { Advanced } from './Advanced.tsx'
import { ChevronDown } from './icons.ts'
import { SeedField } from './SeedField.tsx'
import { Segments } from './Segments.tsx'
import { Select } from './Select.tsx'
import { SizeFields } from './SizeFields.tsx'
import { Slider } from './Slider.tsx'

const COUNTS = [1, 2, 3, 4].map((value) => ({ value, label: value }))
const MAX_STEPS_UNKNOWN = 8 // as far as distilled models go; the model's own limit where it is known
const STEPS_UNKNOWN = 4
const WIDE = '(min-width: 60rem)'

type SettingsProps = {
  draft: Draft
  onChange: (part: Partial<Draft>) => void
  models: Model[]
  model: Model | undefined
  lastSeed: number | undefined
  hasSeedFault: boolean
}

/** Everything but the prompt; folded on a phone, where the way to the button is to be short. */
export function Settings({ draft, onChange, models, model, lastSeed, hasSeedFault }: SettingsProps) {
  const texts = useTexts()
  const [isOpen, setOpen] = useState(() => matchMedia(WIDE).matches)
  const steps = draft.steps ?? model?.defaultSteps
  const side = model?.nativeSize
  const size = draft.size || (side ? `${side}x${side}` : '')
  return (
    <details
      className="settings"
      open={isOpen || hasSeedFault}
      onToggle={(event) => setOpen(event.currentTarget.open)}
    >
      <summary>
        <ChevronDown aria-hidden />
        <span className="settings-title">{texts.settings}</span>
        <span className="settings-summary">
          {[size && showSize(size), steps && `${texts.steps} ${steps}`, draft.n > 1 && `× ${draft.n}`]
            .filter(Boolean)
            .join(' · ')}
        </span>
      </summary>
      <div className="settings-fields">
        {model && models.length > 1 && (
          <Select
            label={texts.model}
            value={model.name}
            options={models.map(({ name }) => ({ value: name, label: name }))}
            onChange={(name) => onChange({ model: name })}
          />
        )}
        <SizeFields size={draft.size} onSize={(size) => onChange({ size })} model={model} />
        <Segments
          label={texts.count}
          isTitled
          options={COUNTS}
          value={draft.n}
          onChange={(n) => onChange({ n })}
        />
        <Slider
          label={texts.steps}
          hint={texts.stepsHint}
          value={draft.steps}
          automatic={model?.defaultSteps}
          fallback={STEPS_UNKNOWN}
          min={1}
          max={model?.maxSteps ?? MAX_STEPS_UNKNOWN}
          step={1}
          onChange={(steps) => onChange({ steps })}
        />
        <SeedField
          seed={draft.seed}
          onSeed={(seed) => onChange({ seed })}
          lastSeed={lastSeed}
          isFaulty={hasSeedFault}
        />
        {model && <Advanced draft={draft} onChange={onChange} model={model} />}
      </div>
    </details>
  )
}
