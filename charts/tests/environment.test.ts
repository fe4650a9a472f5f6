import { describe, expect, it } from 'vitest'
import { ApiConfig } from '../../apps/api/src/config.ts'
import { WebConfig } from '../../apps/web/src/server/config.ts'
import { WorkerConfig } from '../../apps/worker/src/config.ts'
import { PrepareConfig } from '../../apps/worker/src/prepare/config.ts'
import { containers, type Manifest, pods, render, valuesFiles } from './render.ts'

const SCHEMAS: Record<string, Record<string, unknown>> = {
  api: ApiConfig.shape,
  web: WebConfig.shape,
  worker: WorkerConfig.shape,
  'prepare-model': PrepareConfig.shape,
}
// Read by an app, and left out on purpose.
const LEFT_OUT = {
  API_KEYS: 'the keys are a file of a Secret, which API_KEYS_FILE names',
  MAX_RSS_BYTES: 'its default follows MEMORY_LIMIT_BYTES, which is the limit of the container',
  HF_TOKEN: 'the token is a file of a Secret, which HF_TOKEN_PATH names',
}

type Env = { name: string; value?: string }

async function environments(): Promise<Map<string, Env[][]>> {
  const found = new Map<string, Env[][]>()
  for (const { file } of valuesFiles('ci')) {
    for (const pod of pods(await render({ files: [file], kubernetes: '1.35.0' })))
      for (const { name, env = [] } of containers(pod)) found.set(name, [...(found.get(name) ?? []), env])
  }
  return found
}

describe('the environment of the containers', async () => {
  const all = await environments()

  it.each(Object.keys(SCHEMAS))('of %s has every name that the app reads, and no other', (container) => {
    const given = new Set(
      all.get(container)!.flatMap((env) => env.filter(isForTheApp(env)).map(({ name }) => name)),
    )
    const read = Object.keys(SCHEMAS[container]!).filter((name) => !(name in LEFT_OUT))
    expect(given).toEqual(new Set(read))
  })

  it('leaves out only what an app reads', () => {
    const read = Object.values(SCHEMAS).flatMap((shape) => Object.keys(shape))
    for (const name of Object.keys(LEFT_OUT)) expect(read).toContain(name)
  })

  it('is accepted by the apps', () => {
    for (const [container, schema] of Object.entries({
      api: ApiConfig,
      web: WebConfig,
      worker: WorkerConfig,
    }))
      for (const env of all.get(container)!) {
        const values = Object.fromEntries(
          env.map(({ name, value = 'from a secret or the node' }) => [name, inImage(name, value)]),
        )
        expect(schema.safeParse(values).error?.message, JSON.stringify(values)).toBeUndefined()
      }
  })

  it('hands both sides of the queue the same model and prefix', () => {
    const pick = (env: Env[]) =>
      ['MODEL_NAME', 'REDIS_PREFIX', 'RESULT_TTL_SECONDS'].map(
        (name) => env.find((entry) => entry.name === name)?.value,
      )
    expect(all.get('api')!.map(pick)).toEqual(all.get('worker')!.map(pick))
  })
})

// Files that a Secret is mounted to exist in a cluster only; an app looks whether it can read them.
// A number of the node's is one.
function inImage(name: string, value: string): string {
  if (name === 'MEMORY_LIMIT_BYTES') return '2147483648'
  return /^REDIS_TLS_.*_FILE$/.test(name) ? import.meta.filename : value
}

/** What only goes into another value, as `$(NAME)`, is not for the app. */
function isForTheApp(env: Env[]): (entry: Env) => boolean {
  return ({ name }) => !env.some(({ value }: Manifest) => value?.includes(`$(${name})`))
}
