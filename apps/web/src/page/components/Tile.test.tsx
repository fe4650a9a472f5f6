import type { Image } from '@sdcpu/contract'
import { renderToStaticMarkup } from 'react-dom/server'
import { describe, expect, it } from 'vitest'
import { ApiError } from '../api/call-api.ts'
import { FailureNotice } from './FailureNotice.tsx'
import { Tile } from './Tile.tsx'

const image: Image = { index: 0, seed: 7, status: 'succeeded', steps: 4, url: '/api/v1/images/a/0.png' }
const render = (image: Image) =>
  renderToStaticMarkup(<Tile image={image} prompt={'a "red" fox, ink & paper'} onUseSeed={() => {}} />)

describe('Tile', () => {
  it('shows a finished picture with the prompt as its words, its seed and its download', () => {
    const html = render(image)
    expect(html).toContain('alt="a &quot;red&quot; fox, ink &amp; paper"')
    expect(html).toContain('download="a-red-fox-ink-paper-7.png"')
    expect(html).toContain('Use seed 7 again')
  })

  it('says so when the bytes are no longer kept', () => {
    expect(render({ ...image, url: undefined })).toContain('no longer kept')
  })

  it('says so when there will be no picture', () => {
    expect(render({ ...image, status: 'failed', url: undefined })).toContain('Not drawn')
  })
})

describe('FailureNotice', () => {
  it('waits as long as the API asks before it offers to try again', () => {
    const error = new ApiError('queue_full', 'full', { retryAfterSeconds: 12 })
    const html = renderToStaticMarkup(<FailureNotice error={error} onRetry={() => {}} />)
    expect(html).toMatch(/<button[^>]*disabled=""[^>]*>Try again in 12 s</)
  })
})
