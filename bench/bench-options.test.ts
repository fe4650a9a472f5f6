import { describe, expect, it } from 'vitest'
import { parseBenchOptions } from './bench-options.ts'

describe('parseBenchOptions', () => {
  it('measures all stages at batches 1, 2 and 4, and pictures at 1 and 4 steps', () => {
    expect(parseBenchOptions([])).toMatchObject({
      mode: 'stages',
      model: 'demo',
      stages: ['text', 'unet', 'decode', 'picture'],
      batches: [1, 2, 4],
      steps: [1, 4],
    })
  })

  it('compares with peers at one batch and step unless told otherwise', () => {
    expect(parseBenchOptions(['--peers'])).toMatchObject({ mode: 'peers', batches: [1], steps: [1] })
    const args = ['--peers', '--batches', '1,4', '--engines', 'ours,openvino-int8', '--fresh']
    expect(parseBenchOptions(args)).toMatchObject({
      batches: [1, 4],
      engines: ['ours', 'openvino-int8'],
      fresh: true,
    })
  })

  it('masks the CPU for times of stages and of peers', () => {
    expect(parseBenchOptions(['--mask', 'vnni'])).toMatchObject({ mode: 'stages', mask: 'vnni' })
    expect(parseBenchOptions(['--peers', '--mask', 'avx2'])).toMatchObject({ mode: 'peers', mask: 'avx2' })
  })

  it('has two work in turns five times, or as often as one works alone, or as told', () => {
    expect(parseBenchOptions([])).toMatchObject({ repeats: 3, rounds: 5 })
    expect(parseBenchOptions(['--repeats', '9'])).toMatchObject({ repeats: 9, rounds: 9 })
    expect(parseBenchOptions(['--repeats', '9', '--rounds', '2'])).toMatchObject({ repeats: 9, rounds: 2 })
  })

  it.each([
    [['--stages', 'unet,vae'], /--stages is unet,vae; it must be of text, unet, decode, picture/],
    [['--batches', '0'], /--batches is 0; it must be a whole number from 1 to 16/],
    [['--steps', '1,'], /--steps is ; it must be a whole number from 1 to 8/],
    [['--threads', 'all'], /--threads is all/],
    [['--size', '512'], /--size is 512; it must be WIDTHxHEIGHT/],
    [['--size', '500x512'], /each a multiple of 8/],
    [['--plan', 'int4'], /--plan is int4; it must be one of auto, fp32, int8/],
    [['--peers', '--engines', 'tvm'], /--engines is tvm; it must be of ours, torch-fp32/],
    [['--engines', 'ours'], /--engines belongs to --peers/],
    [['--fresh'], /--fresh belongs to --peers/],
    [['--mask', 'amx'], /--mask is amx; it must be one of avx2, avx512, vnni/],
    [['--profile', '--mask', 'avx2'], /--mask belongs to --peers or to times of stages, not to --profile/],
    [['--soak', '9', '--mask', 'avx2'], /--mask belongs to --peers or to times of stages, not to --soak/],
    [['--profile', '--rounds', '9'], /--rounds belongs to --peers or to times of stages, not to --profile/],
    [['--plan', 'auto', '--mask', 'avx2'], /--plan is auto, .*; --mask needs fp32 or int8/],
    [['--profile', '--peers'], /--profile and --peers are two commands; give one/],
    [['--soak', 'long'], /--soak is long; it must be a whole number/],
    [['--colour'], /--colour/],
  ])('refuses %j', (args, message) => {
    expect(() => parseBenchOptions(args)).toThrow(message)
  })
})
