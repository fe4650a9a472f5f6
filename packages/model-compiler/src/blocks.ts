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
    const conv = (y: string, name: string, channels: number, plus?: string) =>
      g.conv3x3(y, `${path}.${name}`, [channels, outputs], { activated: true, plus })
    const shift =
      time && g.linear(time.embedding, `${path}.time_emb_proj`, [time.width, outputs], { precise: true })
    let h = conv(g.groupNorm(x, `${path}.norm1`, inputs, activate), 'conv1', inputs, shift)
    h = conv(g.groupNorm(h, `${path}.norm2`, outputs, activate), 'conv2', outputs)
    const shortcut = inputs === outputs ? x : g.linear(x, `${path}.conv_shortcut`, [inputs, outputs])
    return g.add(shortcut, h)
  })
}
