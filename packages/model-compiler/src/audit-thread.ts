import { parentPort, workerData } from 'node:worker_threads'
import { measureModel, measureReference } from './audit.ts'
import type { AuditTask } from './run-audit.ts'

const task = workerData as AuditTask
parentPort!.postMessage(
  task.kind === 'reference'
    ? await measureReference(task.model, task.probed)
    : await measureModel(task.model, task.reference),
)
