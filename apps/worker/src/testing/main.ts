import type { ImageInput } from '@sdcpu/diffusion'
import { loadConfig } from '../config.ts'
import { runWorker } from '../run-worker.ts'
import { createEngineDouble } from './engine-double.ts'

// A whole worker process whose engine draws nothing, slowly, and breaks on some prompts: for tests that
// kill workers.
const engine = createEngineDouble({ stepMs: Number(process.env.STEP_MS ?? 0), fails: breakOn })
await runWorker(loadConfig(), async () => engine)

function breakOn(inputs: ImageInput[]): boolean {
  if (inputs.some(({ prompt }) => prompt === 'kill')) process.kill(process.pid, 'SIGKILL')
  if (inputs.some(({ prompt }) => prompt === 'die'))
    engine.die(new Error('the engine double was told to die'))
  return false
}
