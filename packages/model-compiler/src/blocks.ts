import type { GraphBuilder } from './graph.ts'

type Resnet = {
  inputs: number
  outputs: number
  groups: number
  epsilon: number
  /** SiLU of the time embedding, [batch, 1, 1, width]; absent in the VAE. */
  time?: { embedding: string; width: number }
}

/** diffusers' `ResnetBlock2D`: two 3x3 convolutions after GroupNorm and SiLU, time added between, and a shortcut. */
export function resnet(
  g: GraphBuilder,
  x: string,
  path: string,
  { inputs, outputs, groups, epsilon, time }: Resnet,
): string {
  return g.inModule(path, () => {
    const activate = { groups, epsilon, activate: true }
    let h = g.conv3x3(g.groupNorm(x, `${path}.norm1`, inputs, activate), `${path}.conv1`, [inputs, outputs])
    if (time) h = g.add(h, g.linear(time.embedding, `${path}.time_emb_proj`, [time.width, outputs]))
    h = g.conv3x3(g.groupNorm(h, `${path}.norm2`, outputs, activate), `${path}.conv2`, [outputs, outputs])
    const shortcut = inputs === outputs ? x : g.linear(x, `${path}.conv_shortcut`, [inputs, outputs])
    return g.add(shortcut, h)
  })
}
