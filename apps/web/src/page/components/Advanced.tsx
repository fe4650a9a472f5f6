import { type Model, SAMPLER_NAMES, SAMPLERS } from '@sdcpu/contract'
import { type Draft, isSampler, usesNegativePrompt } from '../draft/read-draft.ts'
import { useTexts } from '../texts/use-texts.ts'
import { Select } from './Select.tsx'
import { Slider } from './Slider.tsx'

const GUIDANCE_STEP = 0.5
const MAX_GUIDANCE = 12 // of the API's 30; pictures break long before

type AdvancedProps = {
  draft: Draft
  onChange: (part: Partial<Draft>) => void
  model: Model
}

/** What a model offers beyond size and steps. */
export function Advanced({ draft, onChange, model }: AdvancedProps) {
  const texts = useTexts()
  return (
    <>
      <Select
        label={texts.sampler}
        value={isSampler(draft.sampler) ? draft.sampler : ''}
        options={[
          { value: '', label: texts.automaticValue(SAMPLERS[model.defaultSampler][0]) },
          ...SAMPLER_NAMES.map((name) => ({ value: name, label: SAMPLERS[name][0] })),
        ]}
        onChange={(sampler) => onChange({ sampler })}
      />
      <Slider
        label={texts.guidance}
        isWide
        value={draft.guidance}
        automatic={model.defaultGuidance}
        fallback={0}
        min={0}
        max={MAX_GUIDANCE}
        step={GUIDANCE_STEP}
        onChange={(guidance) => onChange({ guidance })}
      />
      <NegativePrompt draft={draft} onChange={onChange} isUsed={usesNegativePrompt(draft, model)} />
    </>
  )
}

type NegativePromptProps = Pick<AdvancedProps, 'draft' | 'onChange'> & { isUsed: boolean }

function NegativePrompt({ draft, onChange, isUsed }: NegativePromptProps) {
  const texts = useTexts()
  return (
    <div className="wide">
      <label className="label" htmlFor="negative-prompt">
        {texts.negativePrompt}
      </label>
      <textarea
        id="negative-prompt"
        className="field negative"
        rows={2}
        placeholder={texts.negativePlaceholder}
        value={draft.negativePrompt}
        disabled={!isUsed}
        aria-describedby="negative-hint"
        onChange={(event) => onChange({ negativePrompt: event.target.value })}
      />
      <p id="negative-hint" className="hint">
        {!isUsed && texts.negativeNeedsGuidance}
      </p>
    </div>
  )
}
