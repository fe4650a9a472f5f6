import { useId } from 'react'
import { useTexts } from '../texts/use-texts.ts'

type SliderProps = {
  label: string
  hint?: string
  isWide?: boolean
  /** `undefined` leaves the choice to the model. */
  value: number | undefined
  /** What the model would choose, where that is known. */
  automatic: number | undefined
  /** Where the handle stands while neither is known. */
  fallback: number
  min: number
  max: number
  step: number
  onChange: (value: number | undefined) => void
}

/** A number on a scale, or the model's own. */
export function Slider(props: SliderProps) {
  const { label, hint, isWide, value, automatic, fallback, min, max, step, onChange } = props
  const texts = useTexts()
  const id = useId()
  const shown = automatic === undefined ? texts.automatic : texts.automaticValue(automatic)
  return (
    <div className={isWide ? 'wide' : undefined}>
      <div className="label-row">
        <label className="label" htmlFor={id}>
          {label}
        </label>
        {value === undefined ? (
          <output className="slider-value" htmlFor={id}>
            {shown}
          </output>
        ) : (
          <span className="slider-value">
            <button
              type="button"
              className="text-button"
              aria-label={texts.backToAutomatic(label)}
              onClick={() => onChange(undefined)}
            >
              {texts.automatic}
            </button>
            <output htmlFor={id}>{value}</output>
          </span>
        )}
      </div>
      <input
        id={id}
        className="slider"
        type="range"
        min={min}
        max={max}
        step={step}
        value={value ?? automatic ?? fallback}
        aria-valuetext={value === undefined ? shown : String(value)}
        title={hint}
        onChange={(event) => onChange(Number(event.target.value))}
      />
    </div>
  )
}
