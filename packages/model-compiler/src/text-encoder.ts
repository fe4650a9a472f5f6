import type { ClipConfig } from './configs.ts'
import { createGraphBuilder, type Graph, type GraphBuilder } from './graph.ts'
import { FP32_PLAN, type GraphPlan } from './scheme.ts'
import type { WeightsSource } from './weights-source.ts'

/**
 * CLIP text encoder as SDXL reads it: `hidden` is the output of the layer before the last, [batch, tokens, width].
 * With `projected` also the pooled, projected embedding, [batch, projection]: input `pooled_rows` says which row of
 * [batch · tokens] is each prompt's end-of-text token. Without it the last layer is not needed and left out.
 * Follows transformers' `modeling_clip.py` (CLIPTextTransformer, CLIPTextModelWithProjection).
 */
export function buildTextEncoder(
  name: string,
  config: ClipConfig,
  weights: WeightsSource,
  { projected, plan = FP32_PLAN }: { projected: boolean; plan?: GraphPlan },
): Graph {
  const g = createGraphBuilder(name, weights, { plan })
  const { hidden_size: width, max_position_embeddings: positions } = config
  // transformers 5 saves CLIPTextModel without the prefix that transformers 4 and CLIPTextModelWithProjection write.
  const root = g.has('embeddings.token_embedding.weight') ? '' : 'text_model.'
  const ids = g.input('input_ids', ['batch', positions], 'int32')
  const table = g.weight({ source: `${root}embeddings.token_embedding.weight` }, [config.vocab_size, width])
  const places = g.weight({ source: `${root}embeddings.position_embedding.weight` }, [positions, width])
  let x = g.add(g.node('Gather', [table, ids]), places)
  const penultimate = config.num_hidden_layers - 1
  for (let layer = 0; layer < penultimate; layer++)
    x = encoderLayer(g, x, `${root}encoder.layers.${layer}`, config)
  g.output('hidden', x, ['batch', positions, width])
  if (projected) {
    const last = encoderLayer(g, x, `${root}encoder.layers.${penultimate}`, config)
    const rows = g.input('pooled_rows', ['batch'], 'int32')
    const pooled = g.node('Gather', [g.reshape(last, g.ints(-1, width)), rows])
    const normed = g.layerNorm(pooled, `${root}final_layer_norm`, width, config.layer_norm_eps)
    const embedding = g.linear(normed, 'text_projection', [width, config.projection_dim], {
      bias: false,
      precise: true,
    })
    g.output('pooled', embedding, ['batch', config.projection_dim])
  }
  return g.graph
}

function encoderLayer(g: GraphBuilder, x: string, path: string, config: ClipConfig): string {
  const { hidden_size: width, intermediate_size: wide, layer_norm_eps: epsilon } = config
  return g.inModule(path, () => {
    const normed = g.layerNorm(x, `${path}.layer_norm1`, width, epsilon)
    const [q, k, v] = ['q_proj', 'k_proj', 'v_proj'].map((projection) =>
      g.linear(normed, `${path}.self_attn.${projection}`, [width, width]),
    )
    const attended = g.attention(q!, k!, v!, config.num_attention_heads, { causal: true })
    const y = g.add(x, g.linear(attended, `${path}.self_attn.out_proj`, [width, width]))
    const opened = g.linear(g.layerNorm(y, `${path}.layer_norm2`, width, epsilon), `${path}.mlp.fc1`, [
      width,
      wide,
    ])
    // 1.702 is the constant of CLIP's own QuickGELU (openai/CLIP clip/model.py).
    const active = config.hidden_act === 'quick_gelu' ? g.quickGelu(opened, 1.702) : g.gelu(opened)
    return g.add(y, g.linear(active, `${path}.mlp.fc2`, [wide, width]))
  })
}
