import { generate, type ImageInput, type Model } from '@sdcpu/diffusion'
import { expect } from 'vitest'

/** Expects pictures to have the very bytes among each other that each has alone. */
export async function expectSameInBatch(model: Model, inputs: ImageInput[]): Promise<void> {
  const together = await generate(model, inputs)
  for (const [i, input] of inputs.entries()) {
    const [alone] = await generate(model, [input])
    expect(Buffer.from(alone!.png).equals(Buffer.from(together[i]!.png)), `picture ${i}`).toBe(true)
  }
}
