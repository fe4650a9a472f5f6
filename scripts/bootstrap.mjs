// Runs `scripts/<command>.ts` on Node 24 with everything installed, on a machine that has only Node 20 and npm.
// Plain JavaScript because Node 20 must run it; all other code here is TypeScript. What a person should read goes
// to stderr, so that stdout belongs to the command alone.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const TOOLS = join(ROOT, '.tools')
const STAMP = join(ROOT, 'node_modules', '.bootstrap')
const PLATFORM = `${process.platform}-${process.arch}`
const NODE_VERSION = '24.21.0'
const NODE_MINIMUM = '24.12.0' // the first to run TypeScript as it is
const PNPM_VERSION = '12.21.0'
const LOCKED = 75 // what `flock` is told to exit with when another call holds the lock

// npm packages that are the plain program: no install script, nothing fetched from elsewhere.
const NODE = {
  label: `Node ${NODE_VERSION}`,
  spec: `node-${PLATFORM}@${NODE_VERSION}`,
  dir: join(TOOLS, `node-${NODE_VERSION}-${PLATFORM}`),
  program: `node_modules/node-${PLATFORM}/bin/node`,
}
const PNPM = {
  label: `pnpm ${PNPM_VERSION}`,
  spec: `@pnpm/exe.${PLATFORM}@${PNPM_VERSION}`,
  dir: join(TOOLS, `pnpm-${PNPM_VERSION}-${PLATFORM}`),
  program: `node_modules/@pnpm/exe.${PLATFORM}/pnpm`,
}

class SetupError extends Error {}

async function main([command, ...args]) {
  if (command === '--prepare') return prepare()
  const script = join(ROOT, 'scripts', `${command}.ts`)
  if (!command || !existsSync(script)) throw new SetupError(`There is no command "${command ?? ''}".`)
  if (!isPrepared()) {
    const code = await prepareAlone()
    if (code !== 0) return code
  }
  return run(...tied(nodeProgram(), [script, ...args]), { env: childEnv() })
}

/** Has the command end with us even if we are killed outright, where Linux's setpriv is at hand to arrange it. */
const tied = (program, args) =>
  onPath('setpriv') ? ['setpriv', ['--pdeathsig', 'TERM', program, ...args]] : [program, args]

const isPrepared = () => existsSync(nodeProgram()) && installedHash() === wantedHash()

/** Lets one call at a time prepare; `flock` ties the lock to the process, so that a killed one leaves none behind. */
async function prepareAlone() {
  mkdirSync(TOOLS, { recursive: true })
  if (!onPath('flock')) return prepare()
  const locked = [join(TOOLS, 'lock'), process.execPath, fileURLToPath(import.meta.url), '--prepare']
  const code = await run('flock', ['--no-fork', '--nonblock', '-E', String(LOCKED), ...locked])
  if (code !== LOCKED) return code
  say('Another call is installing; waiting for it...')
  return run('flock', ['--no-fork', ...locked])
}

async function prepare() {
  const nodeCode = await install(NODE, nodeProgram())
  if (nodeCode !== 0) return nodeCode
  const hash = wantedHash()
  if (installedHash() === hash) return 0
  const pnpm = await findPnpm()
  const pnpmCode = await install(PNPM, pnpm)
  if (pnpmCode !== 0) return pnpmCode
  say('Installing the dependencies...')
  const args = ['install', '--frozen-lockfile', '--config.confirmModulesPurge=false']
  const code = await run(pnpm, args, { cwd: ROOT, env: childEnv(), stdio: ['ignore', 2, 2] })
  if (code !== 0)
    throw new SetupError(`The dependencies could not be installed: pnpm ended with code ${code}.`)
  writeFileSync(`${STAMP}.${process.pid}`, hash)
  renameSync(`${STAMP}.${process.pid}`, STAMP)
  return 0
}

/** Puts a tool in place in one rename, so that a broken download is never taken for a tool. */
async function install({ label, spec, dir }, program) {
  if (existsSync(program)) return 0
  say(`Getting ${label} from the npm registry (one time)...`)
  const partial = `${dir}.partial`
  rmSync(partial, { recursive: true, force: true })
  const [npm, ...npmArgs] = npmCommand()
  const args = ['install', spec, '--prefix', partial, '--no-save', '--no-package-lock', '--ignore-scripts']
  const code = await run(npm, [...npmArgs, ...args, '--no-audit', '--no-fund', '--loglevel=error'], {
    stdio: ['ignore', 'ignore', 2],
  })
  if (wasStopped(code)) return code
  if (code !== 0) {
    throw new SetupError(
      `${label} could not be fetched: "npm install ${spec}" ended with code ${code}. Check that this machine reaches the npm registry, or install ${label} yourself and put it on PATH.`,
    )
  }
  rmSync(dir, { recursive: true, force: true })
  renameSync(partial, dir)
  return 0
}

/** A person who pressed Ctrl-C wants no explanation. */
const wasStopped = (code) => code > 128

function nodeProgram() {
  return isAtLeast(process.versions.node, NODE_MINIMUM) ? process.execPath : join(NODE.dir, NODE.program)
}

/** The machine's own pnpm when it is of our major version and no older, else ours. */
async function findPnpm() {
  const own = onPath('pnpm')
  const version = own && (await output(own, ['--version']))
  const fits =
    version && version.split('.')[0] === PNPM_VERSION.split('.')[0] && isAtLeast(version, PNPM_VERSION)
  return fits ? own : join(PNPM.dir, PNPM.program)
}

/** The npm that called us, else the one on PATH. */
function npmCommand() {
  const caller = process.env.npm_execpath
  return caller?.endsWith('npm-cli.js') ? [process.execPath, caller] : ['npm']
}

/** Stands for everything that decides what `pnpm install` writes. */
function wantedHash() {
  const hash = createHash('sha256').update(PLATFORM)
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', '.npmrc', 'package.json', ...manifests()]) {
    if (existsSync(join(ROOT, file))) hash.update(`\n${file}\n`).update(readFileSync(join(ROOT, file)))
  }
  return hash.digest('hex')
}

/** What was wanted when the installation was made; undefined where there is none or a part of it is gone. */
function installedHash() {
  const isWhole = manifests().every((file) => {
    const { dependencies, devDependencies } = readJson(join(ROOT, file))
    const isLeaf = Object.keys({ ...dependencies, ...devDependencies }).length === 0
    return isLeaf || existsSync(join(ROOT, dirname(file), 'node_modules'))
  })
  return isWhole && existsSync(STAMP) ? readFileSync(STAMP, 'utf8') : undefined
}

/** Manifests of the workspace's packages, which lie one or two folders deep. */
function manifests() {
  const folders = (dir) =>
    readdirSync(join(ROOT, dir), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && entry.name !== 'node_modules' && !entry.name.startsWith('.'))
      .map((entry) => join(dir, entry.name))
  return folders('.')
    .flatMap((dir) => [dir, ...folders(dir)])
    .map((dir) => join(dir, 'package.json'))
    .filter((file) => existsSync(join(ROOT, file)))
    .sort()
}

/** What runs under us finds our Node and the workspace's programs first. */
function childEnv() {
  const path = [dirname(nodeProgram()), join(ROOT, 'node_modules', '.bin'), process.env.PATH]
  return { ...process.env, PATH: path.join(delimiter) }
}

/** Runs a program to its end, passing signals on, and resolves with its exit code. */
async function run(program, args, options) {
  const child = spawn(program, args, { stdio: 'inherit', ...options })
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  const pass = (signal) => child.kill(signal)
  for (const signal of signals) process.on(signal, pass)
  const watch = process.env.npm_lifecycle_event && whenOrphaned(() => pass('SIGTERM'))
  try {
    return await new Promise((resolve, reject) => {
      child.on('error', (cause) =>
        reject(new SetupError(`${program} could not be started: ${cause.message}.`)),
      )
      child.on('close', (code, signal) => resolve(code ?? 128 + constants.signals[signal]))
    })
  } finally {
    clearInterval(watch)
    for (const signal of signals) process.off(signal, pass)
  }
}

/** An npm that is killed outright tells nobody; what it started should not live on. */
function whenOrphaned(act) {
  const parent = process.ppid
  return setInterval(() => process.ppid !== parent && act(), 1000).unref()
}

async function output(program, args) {
  const child = spawn(program, args, { cwd: TOOLS, stdio: ['ignore', 'pipe', 'ignore'] })
  let text = ''
  child.stdout.on('data', (data) => {
    text += data
  })
  await new Promise((resolve) => child.on('close', resolve).on('error', resolve))
  return text.trim()
}

function onPath(name) {
  const dirs = (process.env.PATH ?? '').split(delimiter).filter(Boolean)
  return dirs.map((dir) => join(dir, name)).find((file) => existsSync(file))
}

function isAtLeast(version, minimum) {
  const [a, b] = [version, minimum].map((text) => text.split('.').map(Number))
  const at = a.findIndex((part, i) => part !== b[i])
  return at === -1 || a[at] > b[at]
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'))
}

function say(line) {
  process.stderr.write(`${line}\n`)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  say(error.message)
  process.exitCode = 1
}
