import { spawn } from 'node:child_process'
import { totalmem } from 'node:os'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Measurement } from './stage.ts'

/** A program that times one piece of work; `label` says in errors which it was. */
export type Command = { program: string; args: string[]; label: string; env?: NodeJS.ProcessEnv }

// Threads that wait for more to do keep a core busy for up to 0.2 s.
const PAUSE_MS = 300

// How much of the memory two processes may fill.
const FILLED_SHARE = 0.9

/** Whether two programs that were measured alone can be loaded at the same time. */
export function fitTogether(
  a: Pick<Measurement, 'peakRssBytes'>,
  b: Pick<Measurement, 'peakRssBytes'>,
): boolean {
  const limitBytes = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY)
  return a.peakRssBytes + b.peakRssBytes <= FILLED_SHARE * limitBytes
}

/**
 * Starts the programs one after the other, each until it is loaded and has done its work once, then has them work in
 * turns, so often each; meanwhile the others wait. A program says `{"ready": true}`, `{"seconds": 1.5}` for each line that
 * it reads, and its `Measurement` when there are no more: as lines on its stream 3, where no library prints.
 * @throws when one cannot be started or ends before its time; none is left over
 */
export async function runInTurns(commands: Command[], rounds: number): Promise<Measurement[]> {
  const children: Child[] = []
  try {
    for (const command of commands) {
      const child = start(command)
      children.push(child)
      await child.read()
    }
    for (let round = 0; round < rounds; round++)
      for (const child of children) {
        if (children.length > 1) await sleep(PAUSE_MS)
        await child.run()
      }
    return await Promise.all(children.map((child) => child.finish()))
  } finally {
    await Promise.all(children.map((child) => child.kill()))
  }
}

type Child = ReturnType<typeof start>

function start({ program, args, label, env }: Command) {
  const child = spawn(program, args, { stdio: ['pipe', 2, 2, 'pipe'], env })
  child.stdin!.on('error', () => {}) // that it has ended is told by `ended`
  const ended = new Promise<string>((resolve) => {
    child.once('error', ({ message }) => resolve(`could not be started: ${message}`))
    child.once('close', (code, signal) => resolve(`ended with ${signal ?? `code ${code}`}`))
  })
  const lines = createInterface({ input: child.stdio[3] as Readable })[Symbol.asyncIterator]()

  async function read() {
    const line = await Promise.race([lines.next(), ended])
    if (typeof line === 'string' || line.done) throw new Error(`${label} ${await ended}`)
    return JSON.parse(line.value)
  }

  return {
    read,
    async run(): Promise<void> {
      child.stdin!.write('\n')
      await read()
    },
    async finish(): Promise<Measurement> {
      child.stdin!.end()
      const measurement = await read()
      const end = await ended
      if (end !== 'ended with code 0') throw new Error(`${label} ${end}`)
      return measurement
    },
    async kill(): Promise<void> {
      child.kill('SIGKILL')
      await ended
    },
  }
}
