import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { AuditedModel, measureModel, Reference } from './audit.ts'
import type { ReferenceProbes } from './compile.ts'

export type AuditTask =
  | { kind: 'reference'; model: AuditedModel; probed: ReferenceProbes }
  | { kind: 'model'; model: AuditedModel; reference: Reference }

/** `measureReference` on a thread of its own, because running a graph blocks the thread: a worker must answer meanwhile. */
export function auditReference(model: AuditedModel, probed: ReferenceProbes): Promise<Reference> {
  return inThread({ kind: 'reference', model, probed })
}

/** `measureModel` on a thread of its own. */
export function auditModel(model: AuditedModel, reference: Reference): ReturnType<typeof measureModel> {
  return inThread({ kind: 'model', model, reference })
}

/** @throws what the thread throws */
async function inThread<Result>(workerData: AuditTask): Promise<Result> {
  const thread = new Worker(new URL('./audit-thread.ts', import.meta.url), { workerData })
  try {
    const [result] = await once(thread, 'message')
    return result as Result
  } finally {
    await thread.terminate()
  }
}
