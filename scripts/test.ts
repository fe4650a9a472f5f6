// Runs what CI runs, or the steps named. The last line counts every test, and every other check as one.
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createChildren, findProgram } from './child-processes.ts'
import { findChromium } from './chromium.ts'
import { installDebianPackage } from './debian.ts'
import { findHelm } from './helm.ts'
import { findOpenWebUi } from './open-webui.ts'
import { findPython } from './python-environment.ts'

type Counts = { passed: number; failed: number }
type Step = { title: string; run: () => Promise<Counts> }

const ROOT = join(import.meta.dirname, '..')
const COLORS = process.stdout.isTTY ? 'force' : 'off' // left alone, Biome colours files too
const STEPS: Record<string, Step> = {
  lint: { title: 'Format and lint', run: () => check(`biome ci --error-on-warnings --colors=${COLORS}`) },
  types: { title: 'Types', run: () => check('tsc --project .', 'tsc --noEmit --project apps/web') },
  imports: { title: 'Import directions', run: () => check('node scripts/check-imports.ts') },
  unused: { title: 'Unused files, exports and dependencies', run: () => check('knip') },
  dependencies: { title: 'Dependencies', run: () => check('node scripts/check-dependencies.ts') },
  unit: { title: 'Unit, Redis, golden and app tests', run: () => vitest('unit') },
  chart: { title: 'Chart tests', run: chartTests },
  e2e: { title: 'Browser tests', run: browserTests },
}

// Only when named: the first installs into the cluster that KUBECONFIG names, the second gigabytes from PyPI.
const NAMED_ONLY: Record<string, Step> = {
  cluster: { title: 'Chart in a cluster', run: () => vitest('cluster') },
  'open-webui': { title: 'Open WebUI', run: openWebUiTests },
}
const ALL_STEPS = { ...STEPS, ...NAMED_ONLY }

const children = createChildren()

process.exitCode = await main(process.argv.slice(2))

async function main(names: string[]): Promise<number> {
  const unknown = names.find((name) => !Object.hasOwn(ALL_STEPS, name))
  if (unknown) {
    console.error(`There is no test step "${unknown}"; the steps are ${Object.keys(ALL_STEPS).join(', ')}.`)
    return 1
  }
  const stopRequest = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve())
  })
  const running = runSteps(names.length > 0 ? names : Object.keys(STEPS))
  const counts = await Promise.race([running, stopRequest])
  await children.stopAll()
  if (!counts) return 130
  console.log(`${counts.passed} passed, ${counts.failed} failed`)
  return counts.failed === 0 ? 0 : 1
}

async function runSteps(names: string[]): Promise<Counts> {
  let total: Counts = { passed: 0, failed: 0 }
  const summary: string[] = []
  for (const name of names) {
    const { title, run } = ALL_STEPS[name]!
    console.log(`\n== ${title}`)
    const startedAt = Date.now()
    const counts = await run().catch((error: Error) => {
      console.error(error.message)
      return { passed: 0, failed: 1 }
    })
    total = add(total, counts)
    const seconds = ((Date.now() - startedAt) / 1000).toFixed(1)
    summary.push(
      `${counts.failed === 0 ? 'ok    ' : 'FAILED'} ${title}: ${counts.passed} passed, ${counts.failed} failed, ${seconds} s`,
    )
  }
  console.log(`\n== Summary\n${summary.join('\n')}`)
  return total
}

function add(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed }
}

/** Runs what says yes or no; several commands are one check. */
async function check(...commands: string[]): Promise<Counts> {
  let isGood = true
  for (const command of commands) {
    const [program, ...args] = command.split(' ')
    isGood = (await run(program!, args)) === 'code 0' && isGood
  }
  return isGood ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }
}

async function browserTests(): Promise<Counts> {
  // Here, because an installation would not fit in a test's time.
  await findChromium(console.log)
  await findPython(join(ROOT, 'e2e', 'python', 'requirements.txt'), console.log)
  for (const name of ['curl', 'jq']) // of the commands in docs/clients.md
    if (!findProgram(name)) await installDebianPackage(name, { purpose: name, log: console.log })
  return vitest('e2e')
}

async function openWebUiTests(): Promise<Counts> {
  await findOpenWebUi(console.log) // here, because the installation would not fit in a test's time
  return vitest('open-webui')
}

async function chartTests(): Promise<Counts> {
  await findHelm(console.log) // here, because fetching it would not fit in a test's time
  const table = await check('node charts/generate.ts --check')
  return add(table, await vitest('chart'))
}

async function vitest(project: string): Promise<Counts> {
  const dir = await mkdtemp(join(tmpdir(), 'sdcpu-test-'))
  const file = join(dir, 'results.json')
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
    const end = await run('vitest', ['run', '--project', project, '--allowOnly=false', ...reporters])
    return existsSync(file) ? countTests(await readFile(file, 'utf8'), end) : { passed: 0, failed: 1 }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** A file that cannot be loaded has no failed test, so a bad end counts as one failure at least. */
function countTests(json: string, end: string): Counts {
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(json)
  const skipped = numPendingTests + numTodoTests
  if (skipped > 0) console.log(`${skipped} tests were skipped.`)
  return { passed: numPassedTests, failed: Math.max(numFailedTests, end === 'code 0' ? 0 : 1) }
}

function run(program: string, args: string[]): Promise<string> {
  return children.start({ name: program, program, args, cwd: ROOT, env: process.env, inherit: true }).ended
}
