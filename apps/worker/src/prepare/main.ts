// Downloads and compiles the model that MODEL names into DATA_DIR, unless it is there, and ends: what an init
// container does, so that workers themselves may be given the folder read-only.
import { loadPrepareConfig } from './config.ts'
import { prepareServedModel } from './prepare-served-model.ts'

const SAY_MS = 5000 // between two lines of progress of the same kind

// As a container's first process it would otherwise not hear them.
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1))

try {
  await prepare()
} catch (error) {
  console.error((error as Error).message)
  process.exit(1)
}

async function prepare(): Promise<void> {
  const config = loadPrepareConfig()
  const startedAt = performance.now()
  let saidAt = Number.NEGATIVE_INFINITY
  const dir = await prepareServedModel(config, (message) => {
    if (performance.now() - saidAt < SAY_MS) return
    saidAt = performance.now()
    console.log(message)
  })
  console.log(
    `${config.MODEL} is ready in ${dir} after ${Math.round((performance.now() - startedAt) / 1000)} s`,
  )
}
