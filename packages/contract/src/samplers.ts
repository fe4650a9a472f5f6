/**
 * The samplers there are, by the names we give them, and how else they are spelled: the label AUTOMATIC1111 writes into
 * pictures first, then diffusers' classes and others. The worker's tests hold this against the engine's own table.
 */
export const SAMPLERS = {
  euler_a: [
    'Euler a',
    'EulerAncestralDiscreteScheduler',
    'k_euler_a',
    'euler_ancestral',
    'k_euler_ancestral',
  ],
  euler: ['Euler', 'EulerDiscreteScheduler', 'k_euler'],
  dpmpp_2m: ['DPM++ 2M', 'DPMSolverMultistepScheduler', 'k_dpmpp_2m'],
  dpmpp_2m_karras: ['DPM++ 2M Karras', 'DPMSolverMultistepScheduler use_karras_sigmas=True', 'k_dpmpp_2m_ka'],
  dpmpp_sde_karras: ['DPM++ SDE Karras', 'DPMSolverSDEScheduler use_karras_sigmas=True', 'k_dpmpp_sde_ka'],
  lcm: ['LCM', 'LCMScheduler', 'k_lcm'],
  tcd: ['TCD', 'TCDScheduler'],
} as const satisfies Record<string, readonly string[]>

export type SamplerName = keyof typeof SAMPLERS
export const SAMPLER_NAMES = Object.keys(SAMPLERS) as SamplerName[]

/** The sampler of that name or spelling, in upper or lower case; undefined where there is none. */
export function samplerNamed(text: string): SamplerName | undefined {
  const wanted = text.toLowerCase()
  return SAMPLER_NAMES.find((name) =>
    [name, ...SAMPLERS[name]].some((known) => known.toLowerCase() === wanted),
  )
}
