import { expect, it } from 'vitest'
import { readLora } from './lora-option.ts'

it.each([
  ['a.safetensors', { file: 'a.safetensors', weight: 1 }],
  ['dir/a:b.safetensors:0.8', { file: 'dir/a:b.safetensors', weight: 0.8 }],
  ['a.safetensors:-1', { file: 'a.safetensors', weight: -1 }],
])('reads %s', (text, choice) => {
  expect(readLora(text)).toEqual(choice)
})

it.each(['a.ckpt', 'a.safetensors:', 'a.safetensors:strong', 'a.safetensors:Infinity', '.safetensors', ''])(
  'refuses "%s", saying what it may be',
  (text) => {
    expect(() => readLora(text)).toThrow(`--lora is ${text}; it must be FILE.safetensors or`)
  },
)
