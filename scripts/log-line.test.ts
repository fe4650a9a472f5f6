import { describe, expect, it } from 'vitest'
import { readableLine } from './log-line.ts'

describe('readableLine', () => {
  it('shortens a warning to its level and message', () => {
    const line = JSON.stringify({ level: 40, time: 1, msg: 'the queue is full', waiting: 9 })
    expect(readableLine(line)).toEqual({ text: 'warning: the queue is full', isFault: true })
  })

  it('names the error once where the message repeats it', () => {
    const line = JSON.stringify({ level: 50, msg: 'no model', err: { message: 'no model' } })
    expect(readableLine(line).text).toBe('error: no model')
  })

  it('takes information for no fault', () => {
    expect(readableLine(JSON.stringify({ level: 30, msg: 'ready' })).isFault).toBe(false)
  })

  it('keeps a line that is no log entry', () => {
    expect(readableLine('TypeError: x')).toEqual({ text: 'TypeError: x', isFault: true })
    expect(readableLine('{ half')).toEqual({ text: '{ half', isFault: true })
  })
})
