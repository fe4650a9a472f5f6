import { readFile } from 'node:fs/promises'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { borderColour } from './border-colour.ts'
import { launchChromium } from './chromium.ts'
import { type Product, startProduct } from './product.ts'

const PROMPT = 'a panda on a blue background'
const WIDE = { viewport: { width: 1440, height: 900 } }
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 }
const DRAW_MS = 90_000 // a second or so on a free machine; test machines are not free
const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])

let product: Product
let browser: Browser
const faults: string[] = []

beforeAll(async () => {
  browser = await launchChromium()
  product = await startProduct()
})

afterAll(async () => {
  await browser?.close()
  await product?.stop()
})

afterEach(async () => {
  for (const context of browser.contexts()) await context.close()
  faults.length = 0
})

describe('the page', () => {
  it.each([
    ['a wide screen', WIDE],
    ['a phone', PHONE],
  ])('draws what was asked for, on %s', async (_, options) => {
    const page = await openPage(options)
    await page.getByLabel('Prompt').fill(PROMPT)
    await page.getByRole('button', { name: 'Generate' }).click()

    const picture = page.getByRole('img', { name: PROMPT })
    await picture.waitFor({ timeout: DRAW_MS })
    await page.getByRole('status').getByText('Done').waitFor()
    const { hue, saturation } = await borderColour(picture)
    expect(hue).toBeGreaterThan(190)
    expect(hue).toBeLessThan(265)
    expect(saturation).toBeGreaterThan(0.2)
    expect(await widthOverflow(page)).toBe(0)
    expect(faults).toEqual([])
  })

  it('draws several pictures from the seed it was given, and hands them out as files', async () => {
    const page = await openPage(WIDE)
    await page.getByLabel('Prompt').fill(PROMPT)
    await page.getByRole('textbox', { name: 'Seed' }).fill('7')
    await page.getByRole('radio', { name: '2' }).check()
    await page.keyboard.press('Control+Enter')

    await page.getByRole('img', { name: PROMPT }).nth(1).waitFor({ timeout: DRAW_MS })
    await page.getByRole('button', { name: 'Use seed 7 again' }).waitFor()
    const downloading = page.waitForEvent('download')
    await page
      .getByRole('link', { name: /^Download/ })
      .last()
      .click()
    const file = await downloading
    expect(file.suggestedFilename()).toBe('a-panda-on-a-blue-background-8.png')
    expect((await readFile(await file.path())).subarray(0, 8)).toEqual(PNG_SIGNATURE)
    expect(faults).toEqual([])
  })

  it('keeps the earlier pictures of the visit', async () => {
    const page = await openPage(WIDE)
    for (const prompt of [PROMPT, 'a red fox']) {
      await page.getByLabel('Prompt').fill(prompt)
      await page.getByRole('button', { name: 'Generate' }).click()
      await page.getByRole('img', { name: prompt }).waitFor({ timeout: DRAW_MS })
    }
    const earlier = page.getByRole('region', { name: 'Earlier in this visit' })
    await earlier.getByRole('button', { name: `Open: ${PROMPT}` }).click()
    await page.getByRole('region', { name: 'Your picture' }).getByRole('img', { name: PROMPT }).waitFor()
    await earlier.getByRole('button', { name: 'Open: a red fox' }).waitFor()
    expect(faults).toEqual([])
  })

  it('fills in an example with one press', async () => {
    const page = await openPage(PHONE)
    await page.getByRole('button', { name: 'An octopus attacks New York, 8k.' }).tap()
    expect(await page.getByLabel('Prompt').inputValue()).toBe('An octopus attacks New York, 8k.')
    expect(faults).toEqual([])
  })

  it('says what is missing before it asks anybody', async () => {
    const page = await openPage(WIDE)
    const calls: string[] = []
    page.on('request', (request) => {
      if (request.url().includes('/api/')) calls.push(request.url())
    })
    await page.getByRole('button', { name: 'Generate' }).click()
    await page.getByText('Write what you would like to see').waitFor()
    await page.getByLabel('Prompt').fill('a fox')
    await page.getByRole('textbox', { name: 'Seed' }).fill('seven')
    await page.getByRole('button', { name: 'Generate' }).click()
    await page.getByText('The seed is a whole number').waitFor()
    expect(calls).toEqual([])
    expect(faults).toEqual([])
  })

  it('passes on what the API says is wrong', async () => {
    const page = await openPage(WIDE)
    await page.getByLabel('Prompt').fill('x'.repeat(1203))
    await page.getByRole('button', { name: 'Generate' }).click()
    await page.getByText('prompt is 1203 characters; the limit is 1000').waitFor()
  })
})

/** Opens the page in a profile of its own and collects what its console complains of. */
async function openPage(options: BrowserContextOptions): Promise<Page> {
  const page = await (await browser.newContext(options)).newPage()
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => faults.push(String(error)))
  await page.goto(product.baseUrl)
  return page
}

/** Pixels by which the page is wider than its window. */
function widthOverflow(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
}
