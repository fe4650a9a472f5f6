import { type ImagesResource, isTerminal } from '@sdcpu/contract'
import { ApiError } from '../api-error.ts'
import type { Caller } from '../caller.ts'
import type { Images } from '../images.ts'
import { isLost, type Task, type Tasks } from './tasks.ts'

/** A task somebody waits for; without `images` it waits for room in the queue. */
export type Running = { task: Task; images?: ImagesResource }

/**
 * A caller's tasks that have not ended, oldest first; with `taskId` those the client calls so.
 * @throws `unavailable`
 */
export async function findRunning(
  { tasks, images }: { tasks: Tasks; images: Images },
  caller: Caller,
  taskId?: string,
): Promise<Running[]> {
  const kept = (await tasks.list(caller.turn)).filter(
    (task) => taskId === undefined || task.taskId === taskId,
  )
  const found = await Promise.all(
    kept.map(async (task): Promise<Running[]> => {
      const resource = await findMaybe(images, task.id, caller)
      if (!resource) return isLost(task) ? [] : [{ task }]
      return isTerminal(resource.status) ? [] : [{ task, images: resource }]
    }),
  )
  return found.flat()
}

async function findMaybe(images: Images, id: string, caller: Caller): Promise<ImagesResource | undefined> {
  try {
    return await images.find(id, caller)
  } catch (error) {
    if (error instanceof ApiError && error.code === 'image_not_found') return undefined
    throw error
  }
}

/** How far tasks are, as `GET /sdapi/v1/progress` tells it; without any, all is 0, which clients wait for. */
export function describeProgress(running: Running[]) {
  const [first] = running
  const all = running.flatMap(({ images }) => images?.images ?? [])
  const drawn = all.find(({ status }) => status === 'running')
  const jobCount = running.reduce((sum, { task }) => sum + task.n, 0)
  const done = all.reduce((sum, image) => sum + (isTerminal(image.status) ? 1 : shareOf(image)), 0)
  return {
    progress: jobCount === 0 ? 0 : done / jobCount,
    eta_relative: Math.max(0, ...all.map(({ etaSeconds }) => etaSeconds ?? 0)),
    state: {
      ...{ skipped: false, interrupted: false, stopping_generation: false },
      job: first?.task.job ?? '',
      job_count: jobCount,
      job_timestamp: first ? timestampOf(first.task.startedAtMs) : '0',
      job_no: all.filter(({ status }) => isTerminal(status)).length,
      sampling_step: drawn?.step ?? 0,
      sampling_steps: drawn?.steps ?? 0,
    },
    current_image: null,
    textinfo: first ? describeWait(first, drawn !== undefined) : null,
    current_task: first?.task.taskId ?? null,
  }
}

/** What `/internal/progress` tells of one task. */
export function describeTask(running: Running | undefined, isEnded: boolean) {
  const images = running?.images?.images ?? []
  const isActive = images.some(({ status }) => status !== 'queued')
  const { progress, eta_relative } = describeProgress(running ? [running] : [])
  return {
    active: isActive,
    queued: running !== undefined && !isActive,
    completed: isEnded,
    progress: isActive ? progress : null,
    eta: running?.images ? eta_relative : null,
    live_preview: null,
    id_live_preview: -1,
    textinfo: isActive ? null : running ? describeWait(running, false) : 'Waiting...',
  }
}

function shareOf({ step = 0, steps }: { step?: number | undefined; steps: number }): number {
  return steps === 0 ? 0 : step / steps
}

function describeWait({ images }: Running, isDrawn: boolean): string | null {
  if (isDrawn) return null
  if (!images) return 'Waiting for room in the queue'
  const places = images.images.flatMap(({ position }) => position ?? [])
  return places.length === 0 ? 'Waiting...' : `In queue: ${Math.min(...places) + 1}`
}

/** A moment as AUTOMATIC1111 writes it, in UTC: 20260131235959. */
export function timestampOf(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/\D/g, '').slice(0, 14)
}
