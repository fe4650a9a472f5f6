import { expect, it } from 'vitest'
import { arrange } from './weight-pack.ts'

const values = Float32Array.from({ length: 6 }, (_, i) => i)

it('turns [rows, columns] into [columns, rows]', () => {
  expect([...arrange(values, [2, 3], { transpose: true })]).toEqual([0, 3, 1, 4, 2, 5])
})

it('takes the rows asked for', () => {
  expect([...arrange(values, [3, 2], { rows: [1, 3] })]).toEqual([2, 3, 4, 5])
  expect([...arrange(values, [3, 2], { rows: [1, 3], transpose: true })]).toEqual([2, 4, 3, 5])
})

it('transposes matrices larger than its tiles', () => {
  const [rows, columns] = [70, 45]
  const matrix = Float32Array.from({ length: rows * columns }, (_, i) => i)
  const result = arrange(matrix, [rows, columns], { transpose: true })
  expect(result[44 * rows + 69]).toBe(matrix[69 * columns + 44])
  expect([...arrange(result, [columns, rows], { transpose: true })]).toEqual([...matrix])
})
