import { type ReactNode, useId } from 'react'

type Option<Value> = { value: Value; label: ReactNode; name?: string }

type SegmentsProps<Value> = {
  /** What is chosen here; spoken, and shown where `isTitled`. */
  label: string
  options: readonly Option<Value>[]
  value: Value
  onChange: (value: Value) => void
  isTitled?: boolean
}

/** One of a few, all in sight; radio buttons underneath, so that arrow keys and screen readers work as ever. */
export function Segments<Value extends string | number>(props: SegmentsProps<Value>) {
  const { label, options, value, onChange, isTitled } = props
  const name = useId()
  return (
    <fieldset className="segments">
      <legend className={isTitled ? 'label' : 'unseen'}>{label}</legend>
      <div className="segments-row">
        {options.map((option) => (
          <label key={option.value} className="segment" title={option.name}>
            <input
              type="radio"
              name={name}
              checked={option.value === value}
              aria-label={option.name}
              onChange={() => onChange(option.value)}
            />
            <span>{option.label}</span>
          </label>
        ))}
      </div>
    </fieldset>
  )
}
