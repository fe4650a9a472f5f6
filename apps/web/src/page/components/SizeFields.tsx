import type { Model } from '@sdcpu/contract'
import { useId } from 'react'
import { SHAPES, type Shape, shapeOf, showSize, sizesOf } from '../draft/sizes.ts'
import { useTexts } from '../texts/use-texts.ts'
import { Segments } from './Segments.tsx'

type SizeFieldsProps = {
  /** Empty stands for the model's own. */
  size: string
  onSize: (size: string) => void
  model: Model | undefined
}

/** The picture's shape, and how large it is. */
export function SizeFields({ size, onSize, model }: SizeFieldsProps) {
  const texts = useTexts()
  const id = useId()
  const shape = shapeOf(size)
  const sizes = sizesOf(shape, model)
  const [own] = sizesOf('square', model)
  const toChoice = (option: string) => (option === own ? '' : option)
  const options = size === '' || sizes.includes(size) ? sizes : [...sizes, size]

  function choose(next: Shape) {
    const position = Math.max(0, sizes.indexOf(size || own || ''))
    const others = sizesOf(next, model)
    onSize(toChoice(others[Math.min(position, others.length - 1)] ?? ''))
  }

  return (
    <>
      <Segments
        label={texts.shape}
        isTitled
        options={SHAPES.map((value) => ({
          value,
          name: texts.shapes[value],
          label: <span className={`shape ${value}`} aria-hidden="true" />,
        }))}
        value={shape}
        onChange={choose}
      />
      <div>
        <label className="label" htmlFor={id}>
          {texts.size}
        </label>
        <select
          id={id}
          className="field select"
          value={size === own ? '' : size}
          onChange={(event) => onSize(event.target.value)}
        >
          {options.map((option) => (
            <option key={option} value={toChoice(option)}>
              {describe(option)}
            </option>
          ))}
        </select>
      </div>
    </>
  )

  function describe(option: string): string {
    if (option !== own) return showSize(option)
    return model?.nativeSize ? texts.sizeOwn(showSize(option)) : texts.sizeUnknown
  }
}
