import { spawn } from 'node:child_process'
import { createWriteStream, existsSync, mkdirSync, renameSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

const KEPT_LINES = 20
const SET_GROUP = 'setpgrp(0, 0); exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\\n"'

export type ChildOptions = {
  name: string
  program: string
  args: string[]
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Where everything it prints goes; the file of the run before is kept beside it. */
  logFile?: string
  onLine?: (line: string) => void
  /** Prints to our own output instead; `logFile`, `onLine` and `lastLines` have nothing then. */
  inherit?: boolean
  /** Time between SIGTERM and SIGKILL when it is stopped. */
  graceMs?: number
}

export type Child = {
  name: string
  pid: number
  /** Resolves with how it ended, such as `code 1` or `SIGKILL`; never rejects. */
  ended: Promise<string>
  hasEnded(): boolean
  /** The last lines it printed, newest last. */
  lastLines(): string[]
  stop(): Promise<void>
}

export type Children = {
  /** Aborted when everything is being stopped. */
  stopping: AbortSignal
  start(options: ChildOptions): Child
  /** Stops all, the newest first, one after the other; none can be started any more. */
  stopAll(): Promise<void>
  /** Ends all at once, without grace. */
  killAll(): void
}

/**
 * Starts processes and sees to it that none is left over. Each has a process group of its own, because a terminal
 * sends Ctrl-C to a whole group and the order of stopping is ours.
 */
export function createChildren(): Children {
  const living = new Set<Child & { kill(): void }>()
  const stopping = new AbortController()

  return {
    stopping: stopping.signal,
    start(options) {
      stopping.signal.throwIfAborted()
      const child = startChild(options)
      living.add(child)
      child.ended.then(() => living.delete(child))
      return child
    },
    async stopAll() {
      stopping.abort()
      for (const child of [...living].reverse()) await child.stop()
    },
    killAll() {
      stopping.abort()
      for (const child of living) child.kill()
    },
  }
}

function startChild({
  name,
  program,
  args,
  cwd,
  env,
  logFile,
  onLine,
  inherit,
  graceMs = 10_000,
}: ChildOptions) {
  const group = setGroup()
  const [first, ...rest] = [...group, ...tie(), program, ...args]
  const output = inherit ? 'inherit' : 'pipe'
  const spawned = spawn(first!, rest, {
    cwd,
    env,
    detached: group.length === 0,
    stdio: ['ignore', output, output],
  })
  const log = logFile === undefined ? undefined : openLog(logFile)
  const lines: string[] = []
  const keep = (line: string) => {
    lines.push(line)
    if (lines.length > KEPT_LINES) lines.shift()
    log?.write(`${line}\n`)
    onLine?.(line)
  }
  for (const stream of [spawned.stdout, spawned.stderr]) if (stream) createInterface(stream).on('line', keep)

  const signal = (signal: NodeJS.Signals, pid: number) => {
    try {
      process.kill(pid, signal)
    } catch {
      // It ended by itself in this moment.
    }
  }
  const killGroup = () => signal('SIGKILL', -spawned.pid!)

  let isOver = false
  const ended = new Promise<string>((resolve) => {
    spawned.on('error', (error) => resolve(error.message))
    spawned.on('exit', killGroup) // what it started and left behind
    spawned.on('close', (code, signal) => resolve(signal ?? `code ${code}`))
  }).finally(() => {
    isOver = true
    log?.end()
  })

  return {
    name,
    pid: spawned.pid ?? -1,
    ended,
    hasEnded: () => isOver,
    lastLines: () => [...lines],
    kill() {
      killGroup()
      spawned.kill('SIGKILL') // it may not have its group yet
    },
    async stop() {
      if (isOver || spawned.pid === undefined) return
      signal('SIGTERM', spawned.pid)
      const inTime = await Promise.race([ended, sleep(graceMs, undefined, { ref: false })])
      if (inTime === undefined) killGroup()
      await ended
    },
  }
}

/**
 * Gives a child a process group in our session; Node has one only together with a session (`detached`). Linux shares time
 * between sessions first (autogroup), so that the niceness of a worker in one of its own would count for nothing beside the API.
 */
function setGroup(): string[] {
  const perl = findProgram('perl')
  return perl ? [perl, '-e', SET_GROUP] : []
}

/** Has the kernel end a child whose parent was killed outright; only Linux offers that. */
function tie(): string[] {
  return findProgram('setpriv') ? ['setpriv', '--pdeathsig', 'TERM'] : []
}

function openLog(file: string) {
  mkdirSync(dirname(file), { recursive: true })
  if (existsSync(file)) renameSync(file, `${file}.1`)
  return createWriteStream(file)
}

/** Finds the first of these programs on PATH. */
export function findProgram(...names: string[]): string | undefined {
  const dirs = (process.env.PATH ?? '').split(delimiter).filter(Boolean)
  return names.flatMap((name) => dirs.map((dir) => join(dir, name))).find((file) => existsSync(file))
}
