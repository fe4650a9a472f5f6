import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, it } from 'vitest'
import { type ChildOptions, createChildren } from './child-processes.ts'

let children = createChildren()

afterEach(() => {
  children.killAll()
  children = createChildren()
})

const node = (name: string, code: string, options: Partial<ChildOptions> = {}) =>
  children.start({ name, program: process.execPath, args: ['-e', code], ...options })

const statOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
const WAIT = 'console.log("up"); setInterval(() => {}, 1000);'
const waitForLine = async (child: ReturnType<typeof node>) => {
  while (child.lastLines().length === 0) await sleep(10)
}

it('tells how a process ended and what it printed last', async () => {
  const child = node('short', 'for (let i = 1; i <= 25; i++) console.log(i); process.exit(3)')
  expect(await child.ended).toBe('code 3')
  expect(child.lastLines()).toHaveLength(20)
  expect(child.lastLines().at(-1)).toBe('25')
})

it('tells when a program cannot be started', async () => {
  const child = children.start({ name: 'none', program: '/nowhere/none', args: [] })
  expect(await child.ended).not.toBe('code 0')
})

it('stops the newest first, each before the next', async () => {
  const order: string[] = []
  for (const name of ['first', 'second']) {
    const child = node(name, `process.on('SIGTERM', () => setTimeout(process.exit, 200)); ${WAIT}`)
    child.ended.then(() => order.push(name))
    await waitForLine(child)
  }
  await children.stopAll()
  expect(order).toEqual(['second', 'first'])
})

it('kills what does not end within its grace', async () => {
  const child = node('stubborn', `process.on('SIGTERM', () => {}); ${WAIT}`, { graceMs: 100 })
  await waitForLine(child)
  await child.stop()
  expect(await child.ended).toBe('SIGKILL')
})

it('ends at once what was only just started', async () => {
  const child = node('early', WAIT)
  children.killAll()
  expect(await child.ended).toBe('SIGKILL')
})

it('ends what a process leaves behind', async () => {
  // The one left behind would hold the output open for a minute.
  const code = `require('node:child_process').spawn('sleep', ['60'], { stdio: 'inherit' }); setTimeout(process.exit, 200)`
  expect(await node('parent', code).ended).toBe('code 0')
}, 5_000)

it('starts nothing any more once all are being stopped', async () => {
  await children.stopAll()
  expect(() => node('late', WAIT)).toThrow()
})

it.runIf(existsSync('/proc/self/stat'))('gives a process a group of its own, in our session', async () => {
  const child = node('member', WAIT)
  await waitForLine(child)
  // As `man 5 proc_pid_stat` has it; the name before may have blanks.
  const [, , group, session] = statOf(child.pid)
  expect(group).toBe(String(child.pid))
  expect(session).toBe(statOf(process.pid)[3])
})

it('writes what a process prints to its log, and keeps the log before', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sdcpu-log-'))
  const logFile = join(dir, 'a.log')
  for (const word of ['one', 'two']) await node('printer', `console.log('${word}')`, { logFile }).ended
  await expect.poll(() => readFileSync(logFile, 'utf8')).toBe('two\n')
  expect(readFileSync(`${logFile}.1`, 'utf8')).toBe('one\n')
  rmSync(dir, { recursive: true })
})
