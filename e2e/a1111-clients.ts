import { setTimeout as sleep } from 'node:timers/promises'

// What these two programs send to an AUTOMATIC1111 server: verbs, headers, bodies and order as in their sources.

// biome-ignore lint/suspicious/noExplicitAny: what is read of answers is checked.
export type Answer = any
type Headers = Record<string, string>

/**
 * Open WebUI with the engine `automatic1111`:
 * https://github.com/open-webui/open-webui/blob/02530d501461ce58ab06231d7c2ef2024a141ddf/backend/open_webui/routers/images.py
 */
export function createOpenWebUi(base: string) {
  const headers = { authorization: 'Basic ' } // always there; this is what it is without a password

  /** aiohttp's `json()`: fails where the answer does not say that it is JSON. */
  async function read(answer: Response): Promise<Answer> {
    const type = answer.headers.get('content-type') ?? ''
    if (!type.startsWith('application/json')) throw new Error(`the answer's type is "${type}"`)
    return answer.json()
  }
  const get = async (path: string) => read(await fetch(`${base}${path}`, { headers }))
  const post = (path: string, body: object) =>
    fetch(`${base}${path}`, {
      ...{ method: 'POST', body: JSON.stringify(body) },
      headers: { ...headers, 'content-type': 'application/json' },
    })

  return {
    async verifyUrl(): Promise<boolean> {
      return (await fetch(`${base}/sdapi/v1/options`, { headers })).ok
    },

    async listModels(): Promise<{ id: string; name: string }[]> {
      const models = await get('/sdapi/v1/sd-models')
      return models.map((model: Answer) => ({ id: model.title, name: model.model_name }))
    },

    /** Sends the whole object of options back, as it does where another model is set. */
    async setModel(model: string): Promise<void> {
      const options = await get('/sdapi/v1/options')
      options.sd_model_checkpoint = model
      const answer = await post('/sdapi/v1/options', options)
      if (!answer.ok) throw new Error(answer.statusText)
    },

    /** Asks as a new installation does: 512x512 and 50 steps. Does not look at the status. */
    async generate(prompt: string, n = 1): Promise<{ pictures: Buffer[]; info: Answer }> {
      await get('/sdapi/v1/options')
      const data = { prompt, batch_size: n, width: 512, height: 512, steps: 50 }
      const answer = await read(await post('/sdapi/v1/txt2img', data))
      for (const key of ['images', 'info']) if (!(key in answer)) throw new Error(`'${key}'`)
      return {
        pictures: answer.images.map((image: string) => Buffer.from(image, 'base64')),
        info: JSON.parse(answer.info),
      }
    },
  }
}

/**
 * SillyTavern with its source `auto`:
 * https://github.com/SillyTavern/SillyTavern/blob/02903fdd3ad33dc642fb328e43d0a8b3724e1a38/src/endpoints/stable-diffusion.js
 */
export function createSillyTavern(base: string, extra: Headers = {}) {
  const headers = { Authorization: 'Basic ', ...extra }
  const fail = () => {
    throw new Error('SD WebUI returned an error.')
  }
  const get = (name: string) => fetch(`${base}/sdapi/v1/${name}`, { headers })
  const list = async (name: string): Promise<Answer[]> => {
    const answer = await get(name)
    return answer.ok ? ((await answer.json()) as Answer[]) : fail()
  }
  const names = async (name: string) => (await list(name)).map((item) => item.name)

  return {
    async ping(): Promise<boolean> {
      return (await get('options')).ok
    },
    samplers: () => names('samplers'),
    schedulers: () => names('schedulers'),
    async models(): Promise<string[]> {
      return (await list('sd-models')).map(({ title }) => title)
    },
    async upscalers(): Promise<string[]> {
      const [upscalers, latent] = await Promise.all([names('upscalers'), names('latent-upscale-modes')])
      upscalers.splice(1, 0, ...latent)
      return upscalers
    },
    async vaes(): Promise<string[]> {
      const results = await Promise.allSettled([list('sd-vae'), list('sd-modules')])
      const found = results.find((result) => result.status === 'fulfilled')?.value
      return Array.isArray(found) ? found.map(({ model_name }) => model_name) : fail()
    },
    async getModel(): Promise<string> {
      return ((await (await get('options')).json()) as Answer).sd_model_checkpoint
    },

    /** Chooses a model and looks until nothing is drawn, ten times at most; gives the looks and whether nothing was. */
    async setModel(model: string): Promise<{ looks: number; isIdle: boolean }> {
      const answer = await fetch(`${base}/sdapi/v1/options`, {
        ...{ method: 'POST', body: JSON.stringify({ sd_model_checkpoint: model }) },
        headers: { 'Content-Type': 'application/json', ...headers },
      })
      if (!answer.ok) fail()
      for (let looks = 1; looks <= 10; looks++) {
        const { progress, state } = (await (await get('progress')).json()) as Answer
        if (progress === 0.0 && state.job_count === 0) return { looks, isIdle: true }
        await sleep(2000)
      }
      return { looks: 10, isIdle: false }
    },

    /**
     * Asks as a new installation does. When `browserLeft` is aborted it posts `interrupt` and drops its own connection
     * in the same moment.
     */
    async generate(
      prompt: string,
      { browserLeft, ...change }: Record<string, unknown> & { browserLeft?: AbortSignal } = {},
    ): Promise<Answer> {
      const options = await get('options')
      if (options.ok && 'forge_preset' in ((await options.json()) as object))
        throw new Error('taken for Forge')
      const controller = new AbortController()
      browserLeft?.addEventListener('abort', () => {
        void fetch(`${base}/sdapi/v1/interrupt`, { method: 'POST', headers })
        controller.abort()
      })
      const body = {
        ...{ url: base, auth: '', prompt: `best quality, absurdres, aesthetic, ${prompt}` },
        negative_prompt: 'lowres, bad anatomy, text, worst quality, jpeg artifacts, watermark',
        ...{ sampler_name: 'DDIM', scheduler: 'normal', steps: 20, cfg_scale: 7, width: 512, height: 512 },
        ...{ restore_faces: false, enable_hr: false, hr_upscaler: 'Latent', hr_scale: 2 },
        ...{ denoising_strength: 0.7, hr_second_pass_steps: 0, clip_skip: 1 },
        ...{ override_settings: { CLIP_stop_at_last_layers: 1 }, override_settings_restore_afterwards: true },
        ...{ save_images: true, send_images: true, do_not_save_grid: false, do_not_save_samples: false },
        ...change,
      }
      const answer = await fetch(`${base}/sdapi/v1/txt2img`, {
        ...{ method: 'POST', body: JSON.stringify(body), signal: controller.signal },
        headers: { 'Content-Type': 'application/json', ...headers },
      })
      if (!answer.ok) throw new Error('SD WebUI returned an error.', { cause: await answer.text() })
      return answer.json()
    },
  }
}
