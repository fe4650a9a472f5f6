import { createHash, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContextOptions, Locator, Page, Route } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createChildren } from '../scripts/child-processes.ts'
import { freePort } from '../scripts/ports.ts'
import { startRedis } from '../scripts/redis.ts'
import { borderColour } from './border-colour.ts'
import { launchChromium } from './chromium.ts'
import { createLink } from './cut-link.ts'
import { findViolations } from './find-violations.ts'
import { initialScriptBytes } from './initial-script-bytes.ts'
import { type Product, startProduct } from './product.ts'

const PROMPT = 'a panda on a blue background'
const WIDE = { viewport: { width: 1440, height: 900 } }
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 }
const DRAW_MS = 90_000 // a second or so on a free machine; test machines are not free
const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const MAX_INITIAL_SCRIPT_BYTES = 150_000
// What keeps a worker busy for long enough to look at it.
const SLOW = { prompt: 'a slow picture', size: '768x768', steps: 8 }
const QUEUE_LIMIT = 8 // the least the API takes, so that the queue is soon full

// Puts an entry into the gallery that no page ever wrote.
const KEEP_NONSENSE = `new Promise((resolve, reject) => {
  const opening = indexedDB.open('gallery')
  opening.onsuccess = () => {
    const database = opening.result
    const putting = database.transaction('entries', 'readwrite').objectStore('entries').put({ id: 'x', startedAtMs: 1 })
    putting.onsuccess = () => resolve(database.close())
    putting.onerror = reject
  }
})`

// Forgets what requests were drawn from, as a browser does with the oldest.
const FORGET_INPUTS = `new Promise((resolve, reject) => {
  const opening = indexedDB.open('gallery')
  opening.onsuccess = () => {
    const database = opening.result
    const clearing = database.transaction('inputs', 'readwrite').objectStore('inputs').clear()
    clearing.onsuccess = () => resolve(database.close())
    clearing.onerror = reject
  }
})`
const START_PICTURE = fileURLToPath(
  new URL('../packages/model-compiler/src/fixtures/picture-to-picture/stripes-104x72.png', import.meta.url),
)

const children = createChildren()
let product: Product
let browser: Browser
/** A page with two pictures of seeds 7 and 8, which several tests look at. */
let drawn: Page
const faults: string[] = []

beforeAll(async () => {
  browser = await launchChromium()
  product = await startProduct({ QUEUE_LIMIT: String(QUEUE_LIMIT) })
  drawn = await openPage(WIDE)
  await drawn.getByLabel('Prompt', { exact: true }).fill(PROMPT)
  await drawn.getByRole('textbox', { name: 'Seed' }).fill('7')
  await drawn.getByRole('radio', { name: '2' }).check()
  await drawn.getByRole('button', { name: 'Generate' }).click()
  await stageOf(drawn).getByRole('img', { name: PROMPT }).nth(1).waitFor({ timeout: DRAW_MS })
})

afterAll(async () => {
  await browser?.close()
  await children.stopAll()
  await product?.stop()
})

afterEach(async () => {
  for (const context of browser.contexts()) if (context !== drawn.context()) await context.close()
  await drawn.emulateMedia({ colorScheme: 'light' })
  faults.length = 0
})

describe('the page', () => {
  it('draws what was asked for, on a phone', async () => {
    const page = await openPage(PHONE)
    await page.getByLabel('Prompt', { exact: true }).fill(PROMPT)
    await page.getByRole('button', { name: 'Generate' }).tap()
    await page.getByRole('progressbar').waitFor()

    const picture = stageOf(page).getByRole('img', { name: PROMPT })
    await picture.waitFor({ timeout: DRAW_MS })
    await stageOf(page).getByRole('status').getByText('Done').waitFor()
    const { hue, saturation } = await borderColour(picture)
    expect(hue).toBeGreaterThan(190)
    expect(hue).toBeLessThan(265)
    expect(saturation).toBeGreaterThan(0.2)
    expect(await widthOverflow(page)).toBe(0)
    expect(faults).toEqual([])
  })

  it('draws several pictures from the seed it was given, shows them side by side and hands them out as files', async () => {
    await stageOf(drawn).getByRole('button', { name: 'Compare' }).click()
    const comparison = drawn.getByRole('dialog', { name: 'Side by side' })
    expect(await comparison.getByRole('img').count()).toBe(2)
    await comparison.getByRole('button', { name: 'Keep seed 8' }).click()
    expect(await drawn.getByRole('textbox', { name: 'Seed' }).inputValue()).toBe('8')

    await stageOf(drawn)
      .getByRole('button', { name: `Open: ${PROMPT}, seed 8` })
      .click()
    const downloading = drawn.waitForEvent('download')
    await drawn.getByRole('dialog').getByRole('link', { name: 'Download' }).click()
    const file = await downloading
    expect(file.suggestedFilename()).toBe('a-panda-on-a-blue-background-8.png')
    expect((await readFile(await file.path())).subarray(0, 8)).toEqual(PNG_SIGNATURE)
    await drawn.keyboard.press('Escape')
    expect(faults).toEqual([])
  })

  it('keeps its pictures through a reload, without the API', async () => {
    await drawn.route('**/api/v1/images/**', (route) => route.abort())
    await drawn.reload()
    await stageOf(drawn).getByRole('img', { name: PROMPT }).nth(1).waitFor()
    expect(await drawn.getByLabel('Prompt', { exact: true }).inputValue()).toBe(PROMPT)
    await drawn.unroute('**/api/v1/images/**')
  })

  it('takes a removal back', async () => {
    await stageOf(drawn).getByRole('button', { name: /^Open/ }).first().click()
    await drawn.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
    await drawn.getByText('What would you like to see?').waitFor()
    await drawn.getByRole('button', { name: 'Undo' }).click()
    await stageOf(drawn).getByRole('img', { name: PROMPT }).nth(1).waitFor()
    expect(faults).toEqual([])
  })

  it('makes a link that brings prompt and settings back', async () => {
    await drawn.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await stageOf(drawn).getByRole('button', { name: 'Copy link' }).click()
    await stageOf(drawn).getByRole('button', { name: 'Copied' }).waitFor()
    const link = (await drawn.evaluate('navigator.clipboard.readText()')) as string
    const page = await openPage(WIDE, link)
    expect(await page.getByLabel('Prompt', { exact: true }).inputValue()).toBe(PROMPT)
    expect(await page.getByRole('textbox', { name: 'Seed' }).inputValue()).toBe('7')
    expect(await page.getByRole('radio', { name: '2' }).isChecked()).toBe(true)
    expect(page.url()).not.toContain('prompt')
    expect(faults).toEqual([])
  })

  it('fills in an example with one press', async () => {
    const page = await openPage(PHONE)
    await page.getByRole('button', { name: 'An octopus attacks New York, 8k.' }).tap()
    expect(await page.getByLabel('Prompt', { exact: true }).inputValue()).toBe(
      'An octopus attacks New York, 8k.',
    )
    expect(await widthOverflow(page)).toBe(0)
    expect(faults).toEqual([])
  })

  it('says what is missing before it asks anybody', async () => {
    const page = await openPage(WIDE)
    const calls: string[] = []
    page.on('request', (request) => {
      if (request.method() === 'POST') calls.push(request.url())
    })
    await page.getByRole('button', { name: 'Generate' }).click()
    await page.getByText('Write what you would like to see').waitFor()
    await page.getByLabel('Prompt', { exact: true }).fill('a fox')
    await page.getByRole('textbox', { name: 'Seed' }).fill('seven')
    await page.getByRole('button', { name: 'Generate' }).click()
    await page.getByText('The seed is a whole number').waitFor()
    expect(calls).toEqual([])
    expect(faults).toEqual([])
  })

  it('speaks Chinese to a Chinese browser, and English when it is asked to', async () => {
    const page = await openPage({ ...WIDE, locale: 'zh-CN' })
    await page.getByRole('button', { name: '生成图片' }).waitFor()
    expect(await page.getAttribute('html', 'lang')).toBe('zh-CN')
    await page.getByRole('button', { name: '章鱼袭击纽约' }).click()
    expect(await page.getByLabel('提示词', { exact: true }).inputValue()).toBe(
      'An octopus attacks New York, 8k.',
    )
    await page.getByRole('radio', { name: 'English' }).check({ force: true })
    await page.getByRole('button', { name: 'Generate' }).waitFor()
    await page.reload()
    await page.getByRole('button', { name: 'Generate' }).waitFor()
    expect(faults).toEqual([])
  })

  it('offers a way out where what it kept breaks it', async () => {
    const page = await openPage(WIDE)
    await page.getByText('What would you like to see?').waitFor()
    await page.evaluate(KEEP_NONSENSE)
    await page.reload()
    await page.getByText('This page ran into a fault.').waitFor()
    await page.getByRole('button', { name: 'Remove all and start afresh' }).click()
    await page.getByText('What would you like to see?').waitFor()
  })

  it('keeps the theme that was chosen over the one of the system', async () => {
    const page = await openPage({ ...WIDE, colorScheme: 'light' })
    const background = () => page.evaluate('getComputedStyle(document.documentElement).backgroundColor')
    const light = await background()
    await page.getByRole('radio', { name: 'Dark' }).check({ force: true })
    const dark = await background()
    expect(dark).not.toBe(light)
    await page.reload()
    expect(await background()).toBe(dark)
  })

  it('holds still for those who want that', async () => {
    const page = await openPage({ ...WIDE, reducedMotion: 'reduce' })
    await page.getByText('What would you like to see?').waitFor()
    expect(await page.evaluate('document.getAnimations().length')).toBe(0)
  })

  it('sends less than 150 kB of script before it can be used', async () => {
    const bytes = await initialScriptBytes(product.baseUrl)
    expect(bytes).toBeGreaterThan(50_000)
    expect(bytes).toBeLessThan(MAX_INITIAL_SCRIPT_BYTES)
  })
})

describe('the keyboard', () => {
  it('is enough to draw, to look and to call off', async () => {
    const page = await openPage(WIDE)
    await page.getByRole('button', { name: 'Generate' }).waitFor()
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the prompt')
    await page.keyboard.press('Enter')
    await page.keyboard.type('a fox')
    await page.keyboard.press('Control+Enter')
    await stageOf(page).getByRole('img', { name: 'a fox' }).waitFor({ timeout: DRAW_MS })

    await tabTo(page, stageOf(page).getByRole('button', { name: /^Open: a fox/ }))
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    expect(await focusIsOn(stageOf(page).getByRole('button', { name: /^Open: a fox/ }))).toBe(true)
    expect(faults).toEqual([])
  })
})

describe('a picture to start from', () => {
  it('is chosen, drawn from with a strength, and kept with the request and in the form', async () => {
    const page = await openPage(WIDE)
    await page.getByLabel('Prompt', { exact: true }).fill(PROMPT)
    const choosing = page.waitForEvent('filechooser')
    await tabTo(page, startButton(page))
    await page.keyboard.press('Enter')
    await (await choosing).setFiles(START_PICTURE)
    await page.getByText('Starting from a picture of 104 × 72 pixels.').waitFor()
    expect(await focusIsOn(startButton(page))).toBe(true)
    await page.getByRole('slider', { name: 'Strength' }).press('Home')
    await page.getByText('Draws 1 of 4 steps.').waitFor()

    const first = await bodyOfRequest(page, () => page.getByRole('button', { name: 'Generate' }).click())
    expect(first.strength).toBe(0.25)
    expect(Buffer.from(first.image!.split(',')[1]!, 'base64')).toEqual(await readFile(START_PICTURE))
    await stageOf(page).getByRole('img', { name: PROMPT }).waitFor({ timeout: DRAW_MS })

    await page.reload()
    expect(await page.getByRole('slider', { name: 'Strength' }).inputValue()).toBe('0.25')
    await page.getByRole('button', { name: 'Start from no picture' }).click()
    expect(await focusIsOn(startButton(page))).toBe(true)
    await stageOf(page).getByRole('button', { name: /^Open/ }).click()
    const viewer = page.getByRole('dialog')
    await viewer.getByRole('img', { name: 'Picture to start from' }).waitFor()
    expect(await viewer.locator('dl').textContent()).toMatch(/Strength\s*0\.25/)
    const again = await bodyOfRequest(page, () => viewer.getByRole('button', { name: 'Draw again' }).click())
    expect([again.strength, again.image]).toEqual([0.25, first.image])
    expect(await page.getByRole('slider', { name: 'Strength' }).count()).toBe(0)
    expect(faults).toEqual([])
  })

  it('is dropped or pasted, made smaller where it is large, and is not just any file', async () => {
    const page = await openPage(WIDE)
    await startButton(page).waitFor()
    await page.evaluate(handOver('drop', { width: 3000, height: 2000 }))
    await page.getByText('Starting from a picture of 1536 × 1024 pixels.').waitFor()
    await page.evaluate(handOver('paste', { width: 300, height: 200 }))
    await page.getByText('Starting from a picture of 300 × 200 pixels.').waitFor()
    await page.evaluate(handOver('drop', 'some words'))
    await page.getByRole('alert').getByText('not a picture this browser can read').waitFor()
    expect(await page.getByText('Starting from a picture of 300 × 200 pixels.').count()).toBe(1)
    expect(faults).toEqual([])
  })

  it('is one of the pictures drawn here, which fills the form', async () => {
    await stageOf(drawn)
      .getByRole('button', { name: `Open: ${PROMPT}, seed 8` })
      .click()
    await drawn.getByRole('dialog').getByRole('button', { name: 'Start from this' }).click()
    await drawn.getByText('Starting from a picture of 256 × 256 pixels.').waitFor()
    // What was not drawn from a picture is drawn again without one.
    await stageOf(drawn).getByRole('button', { name: 'Reuse settings' }).click()
    await drawn.getByText('Start from a picture').waitFor()
    expect(faults).toEqual([])
  })

  it('says so where the one of an earlier request is no longer kept', async () => {
    const page = await openPage(WIDE)
    await page.getByLabel('Prompt', { exact: true }).fill(PROMPT)
    await page.locator('input[type=file]').setInputFiles(START_PICTURE)
    await page.getByRole('slider', { name: 'Strength' }).waitFor()
    await page.getByRole('button', { name: 'Generate' }).click()
    await stageOf(page).getByRole('img', { name: PROMPT }).waitFor({ timeout: DRAW_MS })
    await page.evaluate(FORGET_INPUTS)
    await stageOf(page).getByRole('button', { name: 'Draw again' }).click()
    await page.getByRole('alert').getByText('no longer kept in this browser').waitFor()
    expect(await page.getByLabel('Prompt', { exact: true }).inputValue()).toBe(PROMPT)
  })

  it('is offered only where the model draws from one', async () => {
    const page = await (await browser.newContext({ locale: 'en-US', ...WIDE })).newPage()
    await page.route('**/api/v1/models', async (route) => {
      const answer = await route.fetch()
      const { models } = (await answer.json()) as { models: object[] }
      await route.fulfill({ json: { models: models.map((model) => ({ ...model, drawsFromImage: false })) } })
    })
    await page.goto(product.baseUrl)
    await page.getByText('Sampler').waitFor() // the model is known
    expect(await startButton(page).count()).toBe(0)
    await page.evaluate(handOver('drop', { width: 30, height: 20 }))
    expect(await page.getByRole('slider', { name: 'Strength' }).count()).toBe(0)
  })

  it.each([
    ['wide', 'light', WIDE, 'en-US'],
    ['wide', 'dark', WIDE, 'zh-CN'],
    ['phone', 'light', PHONE, 'zh-CN'],
    ['phone', 'dark', PHONE, 'en-US'],
  ] as const)(
    'has nothing that axe finds wrong and fits the page: %s, %s',
    async (_, colorScheme, screen, locale) => {
      const page = await openPage({ ...screen, colorScheme, locale })
      await startButton(page).waitFor()
      expect(await findViolations(page)).toEqual([])
      expect(await widthOverflow(page)).toBe(0)
      await page.locator('input[type=file]').setInputFiles(START_PICTURE)
      await page.locator('.start-strength input').press('End')
      expect(await findViolations(page)).toEqual([])
      expect(await widthOverflow(page)).toBe(0)
      expect(faults).toEqual([])
    },
  )
})

describe('a busy service', () => {
  it('draws no further once the request is called off', async () => {
    const page = await openPage(WIDE, `${product.baseUrl}/#${new URLSearchParams({ ...SLOW, steps: '8' })}`)
    await page.getByRole('button', { name: 'Generate' }).click()
    await stageOf(page)
      .getByText(/^Drawing, step/)
      .waitFor({ timeout: DRAW_MS })
    await page.keyboard.press('Escape')
    await stageOf(page).getByRole('status').getByText('Canceled').waitFor()
    await stageOf(page).getByRole('button', { name: 'Draw again' }).waitFor()
    expect(faults).toEqual([])
  })

  it('says that the queue is full, and draws when there is room again', async () => {
    const page = await openPage(WIDE)
    const ids: string[] = []
    // The worker goes on taking images, so the queue is filled until it refuses the page's request.
    let wasRefused = false
    const fillFirst = async (route: Route) => {
      if (wasRefused || route.request().method() !== 'POST') return route.continue()
      wasRefused = true
      for (;;) {
        ids.push(...(await fillQueue()))
        const headers = { ...route.request().headers(), 'idempotency-key': randomUUID() }
        const response = await route.fetch({ headers })
        if (response.status() === 429) return route.fulfill({ response })
        ids.push(((await response.json()) as { id: string }).id)
      }
    }
    await page.route('**/api/v1/images', fillFirst)
    await page.getByLabel('Prompt', { exact: true }).fill(PROMPT)
    await page.getByRole('button', { name: 'Generate' }).click()
    await page.getByText('The queue is full.').waitFor()
    await page.getByRole('button', { name: /^Try again in \d+ s/ }).waitFor()
    for (const id of ids) await fetch(`${product.baseUrl}/api/v1/images/${id}/cancel`, { method: 'POST' })
    // Whoever does not want to wait for the countdown presses again.
    await page.getByRole('button', { name: 'Generate' }).click()
    await stageOf(page).getByRole('img', { name: PROMPT }).waitFor({ timeout: DRAW_MS })
  })

  it('says that the API is away, and goes on by itself when it is back', async () => {
    const link = await createLink(product.baseUrl)
    const page = await openPage(WIDE, await startWeb(link.url))
    await page.getByLabel('Prompt', { exact: true }).fill(PROMPT)
    await page.getByRole('button', { name: 'Generate' }).click()
    await page.getByRole('progressbar').waitFor()
    await link.cut()
    await stageOf(page).getByText('The service cannot be reached.').waitFor()
    await page.getByRole('button', { name: 'Generate' }).click()
    await page.getByRole('button', { name: 'Try again', exact: true }).waitFor({ timeout: 30_000 })
    await link.mend()
    await stageOf(page).getByRole('img', { name: PROMPT }).waitFor({ timeout: DRAW_MS })
    await link.cut()
  })
})

describe('a service with keys', () => {
  it('is used once the page was told a key that it knows', async () => {
    const page = await openPage(WIDE, await startWeb(await startApiWithKey('open-sesame')))
    const form = page.locator('form.banner')
    await form.getByText('This service needs a key.').waitFor()
    expect(await findViolations(page)).toEqual([])
    await form.getByLabel('API key').fill('open-barley')
    await form.getByRole('button', { name: 'Use it' }).click()
    await form.getByText('is not known there').waitFor()
    await form.getByLabel('API key').fill('open-sesame')
    await form.getByRole('button', { name: 'Use it' }).click()
    await form.waitFor({ state: 'detached' })
  })
})

describe('axe', () => {
  it.each([
    ['light', 'English', 'en-US'],
    ['dark', 'Chinese', 'zh-CN'],
  ] as const)('finds nothing wrong with the empty page, %s, in %s', async (colorScheme, _, locale) => {
    const page = await openPage({ ...WIDE, colorScheme, locale })
    await page.locator('.empty').waitFor()
    expect(await findViolations(page)).toEqual([])
  })

  it('finds nothing wrong with pictures, in both themes and languages', async () => {
    for (const language of ['中文', 'English']) {
      await drawn.getByRole('radio', { name: language }).check({ force: true })
      for (const colorScheme of ['light', 'dark'] as const) {
        await drawn.emulateMedia({ colorScheme })
        expect(await findViolations(drawn)).toEqual([])
      }
    }
  })

  it('finds nothing wrong with the windows over the page', async () => {
    await stageOf(drawn).getByRole('button', { name: /^Open/ }).first().click()
    expect(await findViolations(drawn)).toEqual([])
    await drawn.keyboard.press('Escape')
    await drawn.emulateMedia({ colorScheme: 'dark' })
    await stageOf(drawn).getByRole('button', { name: 'Compare' }).click()
    expect(await findViolations(drawn)).toEqual([])
    await drawn.keyboard.press('Escape')
  })

  it('finds nothing wrong on a phone', async () => {
    const page = await openPage({ ...PHONE, colorScheme: 'dark' })
    await page.locator('.empty').waitFor()
    expect(await findViolations(page)).toEqual([])
  })
})

/** Opens the page in a profile of its own and collects what its console complains of. */
async function openPage(options: BrowserContextOptions, url = product.baseUrl): Promise<Page> {
  const page = await (await browser.newContext({ locale: 'en-US', ...options })).newPage()
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => faults.push(String(error)))
  await page.goto(url)
  return page
}

function stageOf(page: Page): Locator {
  return page.getByRole('region', { name: 'Your picture' })
}

/** Starts another server of the page, in front of an API elsewhere, and says where it is. */
async function startWeb(apiUrl: string): Promise<string> {
  const port = String(await freePort())
  const listening = Promise.withResolvers<void>()
  children.start({
    name: 'web',
    program: process.execPath,
    args: [fileURLToPath(new URL('../apps/web/src/server/main.ts', import.meta.url))],
    env: { ...process.env, WEB_PORT: port, API_URL: apiUrl },
    onLine: (line) => line.includes('listening') && listening.resolve(),
  })
  await listening.promise
  return `http://127.0.0.1:${port}`
}

/** Starts an API of its own, without a worker, that lets only those in who show `key`, and says where it is. */
async function startApiWithKey(key: string): Promise<string> {
  const port = String(await freePort())
  const redis = await startRedis({ children, log: console.log })
  const sha256 = createHash('sha256').update(key).digest('hex')
  const listening = Promise.withResolvers<void>()
  children.start({
    name: 'api',
    program: process.execPath,
    args: [fileURLToPath(new URL('../apps/api/src/main.ts', import.meta.url))],
    env: {
      ...process.env,
      REDIS_URL: redis.url,
      API_PORT: port,
      API_KEYS: JSON.stringify([{ name: 'ali-baba', sha256 }]),
    },
    onLine: (line) => line.includes('listening') && listening.resolve(),
  })
  await listening.promise
  return `http://127.0.0.1:${port}`
}

/** Asks for slow pictures until the API takes no more, and returns the ids of the requests it took. */
async function fillQueue(): Promise<string[]> {
  const ids: string[] = []
  for (;;) {
    const answer = await fetch(`${product.baseUrl}/api/v1/images`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(SLOW),
    })
    if (answer.status === 429) return ids
    expect(answer.status).toBe(202)
    ids.push(((await answer.json()) as { id: string }).id)
  }
}

/** The button that a picture to start from is chosen or replaced with, in any language. */
function startButton(page: Page): Locator {
  return page.locator('.start-choose')
}

/** What the page sends to the API when somebody does this. */
async function bodyOfRequest(
  page: Page,
  act: () => Promise<void>,
): Promise<{ image?: string; strength?: number }> {
  const isCreation = (url: string, method: string) => url.endsWith('/api/v1/images') && method === 'POST'
  const sending = page.waitForRequest((request) => isCreation(request.url(), request.method()))
  await act()
  return (await sending).postDataJSON()
}

/** Code that drops or pastes a file: a noisy picture of a size, or one with these words in it. */
function handOver(how: 'drop' | 'paste', content: { width: number; height: number } | string): string {
  return `(async (content) => {
    const draw = async ({ width, height }) => {
      const canvas = Object.assign(document.createElement('canvas'), { width, height })
      const context = canvas.getContext('2d')
      context.fillStyle = 'teal'
      context.fillRect(0, 0, width / 2, height)
      return new Promise((resolve) => canvas.toBlob(resolve, 'image/png'))
    }
    const isText = typeof content === 'string'
    const bytes = isText ? content : await draw(content)
    const data = new DataTransfer()
    data.items.add(new File([bytes], 'file', { type: isText ? 'text/plain' : 'image/png' }))
    const options = { bubbles: true, cancelable: true }
    const event = ${how === 'drop' ? "new DragEvent('drop', { ...options, dataTransfer: data })" : "new ClipboardEvent('paste', { ...options, clipboardData: data })"}
    document.body.dispatchEvent(event)
  })(${JSON.stringify(content)})`
}

async function tabTo(page: Page, target: Locator): Promise<void> {
  for (let presses = 0; presses < 60; presses += 1) {
    if (await focusIsOn(target)) return
    await page.keyboard.press('Tab')
  }
  throw new Error('The Tab key does not lead there')
}

function focusIsOn(target: Locator): Promise<boolean> {
  // biome-ignore lint/suspicious/noExplicitAny: this part runs in the browser; the types here are Node's
  return target.evaluate((element) => element === (globalThis as any).document.activeElement)
}

/** Pixels by which the page is wider than its window. */
function widthOverflow(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
}
