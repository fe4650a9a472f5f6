// Draws on the page with the demo model and writes the README's pictures of it: `node e2e/screenshots.ts`, with a font that has
// Chinese (Debian's fonts-noto-cjk).
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { launchChromium } from './chromium.ts'
import { startProduct } from './product.ts'

const OUT = join(import.meta.dirname, '..', 'docs')
const QUALITY = 82 // of WebP
const DRAW_MS = 90_000
const THEMES = ['light', 'dark'] as const

type View = {
  context: BrowserContextOptions
  /** Drawn first, one picture each, for the gallery. */
  singles: string[]
  /** Drawn last, and how many of it. */
  last: [prompt: string, count: number]
  isWhole: boolean
}
const VIEWS: Record<string, View> = {
  page: {
    context: { viewport: { width: 1440, height: 900 } },
    singles: [
      'a panda on a blue background',
      'a castle on a pink background',
      'a sunflower on a turquoise background',
      'an owl in the forest',
      'an apple on a green background',
      'a fox on a purple background',
    ],
    last: ['a panda with headphones on a yellow background, highly detailed, 8k', 4],
    isWhole: true,
  },
  'page-phone': {
    context: {
      viewport: { width: 390, height: 844 },
      isMobile: true,
      hasTouch: true,
      deviceScaleFactor: 1.5,
    },
    singles: [],
    last: ['a fox on a blue background', 1],
    isWhole: false,
  },
}

const product = await startProduct()
try {
  const browser = await launchChromium()
  for (const name of Object.keys(VIEWS)) await show(browser, name)
  await browser.close()
} finally {
  await product.stop()
}

async function show(browser: Browser, name: string): Promise<void> {
  const { context, singles, last, isWhole } = VIEWS[name]!
  const page = await (await browser.newContext({ locale: 'en-US', ...context })).newPage()
  await page.goto(product.baseUrl)
  for (const [i, prompt] of singles.entries()) await draw(page, { prompt, seed: i + 1, count: 1 })
  const [prompt, count] = last
  await draw(page, { prompt, seed: 1, count })
  await page.evaluate('window.scrollTo(0, 0)')
  for (const colorScheme of THEMES) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await capture(page, join(OUT, `${name}-${colorScheme}.webp`), isWhole)
  }
  await page.context().close()
}

async function draw(
  page: Page,
  { prompt, seed, count }: { prompt: string; seed: number; count: number },
): Promise<void> {
  const stage = page.getByRole('region', { name: 'Your picture' })
  await page.getByLabel('Prompt', { exact: true }).fill(prompt)
  const seedField = page.getByRole('textbox', { name: 'Seed' })
  if (await seedField.isVisible()) {
    await seedField.fill(String(seed))
    await page.getByRole('radio', { name: String(count) }).check()
  }
  await page.getByRole('button', { name: 'Generate' }).click()
  await stage
    .getByRole('img', { name: prompt })
    .nth(count - 1)
    .waitFor({ timeout: DRAW_MS })
  await stage.getByRole('status').getByText('Done').waitFor()
}

async function capture(page: Page, file: string, isWhole: boolean): Promise<void> {
  const session = await page.context().newCDPSession(page) // Playwright itself writes no WebP
  const { cssContentSize } = await session.send('Page.getLayoutMetrics')
  const { data } = await session.send('Page.captureScreenshot', {
    format: 'webp',
    quality: QUALITY,
    ...(isWhole && { captureBeyondViewport: true, clip: { ...cssContentSize, scale: 1 } }),
  })
  await writeFile(file, Buffer.from(data, 'base64'))
}
