import axe from 'axe-core'
import type { Page } from 'playwright-core'

type Result = { violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[] }

/** What axe finds wrong with the page as it is shown, one line each with the rule, the element and the reason. */
export async function findViolations(page: Page): Promise<string[]> {
  // Colours on their way to others are nobody's.
  await page
    .evaluate('Promise.all(document.getAnimations().map((animation) => animation.finish()))')
    .catch(() => {})
  await page.evaluate(axe.source)
  const result = (await page.evaluate('axe.run({ resultTypes: ["violations"] })')) as Result
  return result.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
  )
}
