import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { ApiError } from '../api-error.ts'
import type { Caller } from '../caller.ts'
import type { Images } from '../images.ts'
import type { ZodApp } from '../zod-app.ts'
import { A1111_ERRORS } from './a1111-error.ts'
import { MAX_TASK_CHARACTERS } from './generation-body.ts'
import { describeProgress, describeTask, findRunning } from './progress.ts'
import type { Tasks } from './tasks.ts'

const taskId = z
  .string()
  .max(MAX_TASK_CHARACTERS)
  .optional()
  .describe('Only this task; all of the caller when absent')
const TaskQuery = z.object({ id_task: taskId })
const ProgressQuery = TaskQuery.extend({
  skip_current_image: z.string().optional().describe('Without effect: there is no preview'),
})
const TaskBody = z.object({ id_task: taskId, force_task_id: taskId })
const OneTask = z.object({
  id_task: z
    .string()
    .max(MAX_TASK_CHARACTERS)
    .nullish()
    .describe('The task: the `force_task_id` of its request'),
})

const Progress = z
  .object({
    progress: z.number().describe('0 to 1; 0 when nothing is drawn'),
    eta_relative: z.number().describe('Seconds until all is drawn, as far as can be told'),
    state: z.object({
      skipped: z.boolean(),
      interrupted: z.boolean(),
      stopping_generation: z.boolean(),
      job: z.string(),
      job_count: z.int().describe('Images waited for; 0 when none are'),
      job_timestamp: z.string(),
      job_no: z.int(),
      sampling_step: z.int(),
      sampling_steps: z.int(),
    }),
    current_image: z.null(),
    textinfo: z.string().nullable(),
    current_task: z.string().nullable(),
  })
  .meta({ id: 'A1111Progress' })

const TaskProgress = z
  .object({
    active: z.boolean(),
    queued: z.boolean(),
    completed: z.boolean(),
    progress: z.number().nullable(),
    eta: z.number().nullable(),
    live_preview: z.null(),
    id_live_preview: z.int(),
    textinfo: z.string().nullable(),
  })
  .meta({ id: 'A1111TaskProgress' })

const PendingTasks = z.object({ size: z.int(), tasks: z.array(z.string()) })

/** Adds what tells how far a caller's own tasks are, and what stops them; nobody else's are seen or stopped. */
export function addControlRoutes(
  app: ZodApp,
  {
    images,
    tasks,
    callerOf,
  }: { images: Images; tasks: Tasks; callerOf: (request: FastifyRequest) => Caller },
): void {
  const running = (caller: Caller, task?: string) => findRunning({ tasks, images }, caller, task)

  app.get('/sdapi/v1/progress', {
    schema: { querystring: ProgressQuery, response: { 200: Progress, ...A1111_ERRORS } },
    handler: async (request, reply) => {
      const found = await running(callerOf(request), request.query.id_task)
      return reply.header('cache-control', 'no-store').send(describeProgress(found))
    },
  })

  app.post('/sdapi/v1/interrupt', {
    schema: { querystring: TaskQuery, response: { 200: z.object({}), ...A1111_ERRORS } },
    handler: async (request) => {
      const caller = callerOf(request)
      for (const { task } of await running(caller, taskIn(request))) {
        await tasks.giveUp(task.id) // first: one that gets its place in the queue now looks whether it was
        await cancelMaybe(task.id, caller)
      }
      return {}
    },
  })

  app.post('/sdapi/v1/skip', {
    schema: { querystring: TaskQuery, response: { 200: z.null(), ...A1111_ERRORS } },
    handler: async (request, reply) => {
      const caller = callerOf(request)
      for (const { task, images: whole } of await running(caller, taskIn(request))) {
        const drawn = whole?.images.filter(({ status }) => status === 'running') ?? []
        const indexes = drawn.map(({ index }) => index)
        if (indexes.length > 0) await images.cancel(task.id, caller, indexes)
      }
      return reply.type('application/json; charset=utf-8').send('null' as never)
    },
  })

  async function describe(request: FastifyRequest, id: string | null | undefined) {
    const caller = callerOf(request)
    if (!id) return describeTask(undefined, false)
    const found = (await running(caller, id)).at(-1)
    return describeTask(found, !found && (await tasks.hasEnded(caller.turn, id)))
  }

  app.post('/internal/progress', {
    schema: { body: OneTask, response: { 200: TaskProgress, ...A1111_ERRORS } },
    handler: (request) => describe(request, request.body.id_task),
  })
  app.get('/internal/progress', {
    schema: { querystring: TaskQuery, response: { 200: TaskProgress, ...A1111_ERRORS } },
    handler: (request) => describe(request, request.query.id_task),
  })

  app.get('/internal/pendingTasks', {
    schema: { response: { 200: PendingTasks, ...A1111_ERRORS } },
    handler: async (request) => {
      const found = await running(callerOf(request))
      const pending = found.filter(
        ({ images: whole }) => !whole?.images.some(({ status }) => status !== 'queued'),
      )
      return { size: pending.length, tasks: pending.map(({ task }) => task.taskId) }
    },
  })

  async function cancelMaybe(id: string, caller: Caller): Promise<void> {
    try {
      await images.cancel(id, caller)
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 'image_not_found')) throw error
    }
  }
}

/** Which task a request to stop one names, in its query or, as scripts do, in its body. */
function taskIn({
  query,
  body,
}: FastifyRequest<{ Querystring: z.infer<typeof TaskQuery> }>): string | undefined {
  const { id_task, force_task_id } = TaskBody.safeParse(body).data ?? {}
  return query.id_task || id_task || force_task_id || undefined
}
