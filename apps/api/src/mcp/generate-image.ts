import { randomUUID } from 'node:crypto'
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import {
  CreateImages,
  describeIssues,
  Image,
  ImageRequest,
  type ImagesResource,
  mediaTypeOf,
} from '@sdcpu/contract'
import { z } from 'zod'
import { ApiError } from '../api-error.ts'
import type { Caller } from '../caller.ts'
import type { Images } from '../images.ts'
import type { JobEvents } from '../job-events.ts'
import { waitForImages } from '../wait-for-images.ts'
import type { RunningCalls } from './running-calls.ts'
import { type CallContext, type McpTool, toolError, toToolSchema } from './tool.ts'
import { trackProgress } from './track-progress.ts'

// Of what can be asked for, that which a model can write: webhooks and deadlines are for programs, and no model has a
// picture at hand as base64.
const { prompt, negativePrompt, size, n, seed, steps, guidance, sampler, emphasis, model, format } =
  CreateImages.shape
const GenerateImage = z.strictObject({
  ...{ prompt, negativePrompt, size, n, seed, steps, guidance, sampler, emphasis, model },
  format: format.describe('Of the files; jpeg and webp are a fraction of the size of png'),
})

const GeneratedImages = z.object({
  id: z.string(),
  request: z.object(ImageRequest.omit({ image: true, strength: true, expiresInSeconds: true }).shape),
  images: z.array(
    z.object({
      ...Image.pick({ index: true, seed: true, width: true, height: true, steps: true, warnings: true })
        .shape,
      status: z.enum(Image.shape.status.options),
      url: Image.shape.url.describe('Below the address of this service; kept for a while only'),
      error: Image.shape.error,
    }),
  ),
})

/** Makes the tool that draws: it answers with the images when all have ended. */
export function createGenerateImage({
  images,
  events,
  calls,
  quietMs,
}: {
  images: Images
  events: (model: string) => JobEvents
  calls: RunningCalls
  /** After which progress is repeated. */
  quietMs?: number | undefined
}): McpTool {
  /** Draws and waits; undefined where nobody waits any more. */
  async function draw(
    body: CreateImages,
    { id, context }: { id: string; context: CallContext },
  ): Promise<ImagesResource | undefined> {
    const { caller, callName, requestId, signal, log, onProgress } = context
    const created = await images.create(body, caller, { id, requestId })
    const { model, n, size, steps } = created.request
    log.info({ id, model, n, size, steps }, 'accepted')
    if (callName !== undefined && (await calls.isCanceled(callName))) return images.cancel(id, caller)
    const record = await images.findRecord(id, caller)
    const progress = onProgress && trackProgress(onProgress, { quietMs })
    const waiting = { signal, onUpdate: progress?.update }
    const ended = await waitForImages({ images, events: events(model) }, record, waiting).finally(() =>
      progress?.stop(),
    )
    if (!ended) await images.cancel(id, caller)
    return ended
  }

  async function drawUnlessCanceled(body: CreateImages, context: CallContext) {
    const { callName } = context
    const id = randomUUID()
    if (callName === undefined) return { ended: await draw(body, { id, context }), isCanceled: false }
    try {
      // Before there is anything to cancel, so that no cancellation comes to nothing.
      if (!(await calls.begin(callName, id))) return { ended: undefined, isCanceled: true }
      const ended = await draw(body, { id, context })
      return { ended, isCanceled: await calls.isCanceled(callName) }
    } finally {
      await calls.end(callName)
    }
  }

  async function toResult(resource: ImagesResource, caller: Caller): Promise<CallToolResult> {
    const drawn = resource.images.filter(({ status }) => status === 'succeeded')
    if (drawn.length === 0) return toolError(describeFailures(resource).join('\n'))
    const pictures = drawn.map(async ({ index }) => {
      const { bytes, format } = await images.readBytes(resource.id, index, caller)
      const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
      return { type: 'image' as const, data, mimeType: mediaTypeOf(format) }
    })
    const text = [describeDrawn(resource), ...describeFailures(resource)].join('\n')
    return {
      content: [{ type: 'text', text }, ...(await Promise.all(pictures))],
      structuredContent: GeneratedImages.parse(resource),
    }
  }

  return {
    definition: {
      name: 'generate_image',
      title: 'Draw images',
      description:
        'Draws one image or several from a text and returns them as files. Drawing takes seconds to minutes on CPUs. The same prompt, seed and settings give the same image again; what is left out is the model’s own choice and told in the answer.',
      inputSchema: toToolSchema(GenerateImage, 'input'),
      outputSchema: toToolSchema(GeneratedImages, 'output'),
      annotations: {
        readOnlyHint: false,
        destructiveHint: false,
        idempotentHint: false,
        openWorldHint: false,
      },
    },
    async call(args, context) {
      // Models write null for what they leave out.
      const given = Object.fromEntries(Object.entries(args).filter(([, value]) => value !== null))
      const parsed = GenerateImage.safeParse(given)
      if (!parsed.success) throw new ApiError('invalid_request', describeIssues(parsed.error))
      const { ended, isCanceled } = await drawUnlessCanceled(parsed.data, context)
      if (isCanceled) await context.dropAnswer()
      if (!ended)
        return toolError('The service is stopping; what was not drawn is canceled. Try again shortly.')
      return toResult(ended, context.caller)
    },
  }
}

function describeDrawn({ request, images }: ImagesResource): string {
  const { model, size, steps, guidance, sampler } = request
  const drawn = images.filter(({ status }) => status === 'succeeded')
  const seeds = `${drawn.length > 1 ? 'seeds' : 'seed'} ${drawn.map(({ seed }) => seed).join(', ')}`
  const warnings = new Set(drawn.flatMap((image) => image.warnings ?? []))
  const settings = [
    size,
    `${steps} ${steps === 1 ? 'step' : 'steps'}`,
    seeds,
    `guidance ${guidance}`,
    `sampler ${sampler}`,
  ]
  return [`Drawn with ${model}: ${settings.join(', ')}.`, ...warnings].join('\n')
}

function describeFailures({ images }: ImagesResource): string[] {
  return images.flatMap(({ index, status, error }) => {
    if (status === 'succeeded') return []
    const reason = error?.message ?? 'The image was canceled.'
    return images.length > 1 ? [`Image ${index + 1} of ${images.length}: ${reason}`] : [reason]
  })
}
