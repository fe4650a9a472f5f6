import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runInTurns } from './run-in-turns.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-turns-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

// Does what a measuring program does, without work: writes its name into a log for each line, and its process id into a file.
const SCRIPT = `
const [name, folder, act] = process.argv.slice(1)
const { appendFileSync, writeFileSync, writeSync } = require('node:fs')
const tell = (message) => writeSync(3, JSON.stringify(message) + '\\n')
const seconds = []
const log = (what) => appendFileSync(folder + '/log', name + ' ' + what + '\\n')
writeFileSync(folder + '/' + name, String(process.pid))
if (act === 'fail to load') process.exit(4)
process.stdout.write('a library greets\\n')
log('loaded')
tell({ ready: true })
const lines = require('node:readline').createInterface({ input: process.stdin })
lines.on('line', () => {
  if (act === 'die in the second run' && seconds.length === 1) process.exit(3)
  if (act === 'be killed') process.kill(process.pid, 'SIGKILL')
  seconds.push(seconds.length)
  log('ran')
  tell({ seconds: seconds.at(-1) })
})
lines.on('close', () => {
  tell({ engine: name, seconds })
  process.exitCode = act === 'end badly' ? 5 : 0
})
`
const command = (name: string, act = '') => ({
  program: process.execPath,
  args: ['-e', SCRIPT, name, folder, act],
  label: `measuring with ${name}`,
})
const readLog = async () => (await readFile(join(folder, 'log'), 'utf8')).trimEnd().split('\n')
const isRunning = async (name: string) => existsSync(`/proc/${await readFile(join(folder, name), 'utf8')}`)

describe('runInTurns', () => {
  it('loads one after the other and then has them work in turns', async () => {
    const measured = await runInTurns([command('ours'), command('peer')], 3)
    expect(measured).toEqual([
      { engine: 'ours', seconds: [0, 1, 2] },
      { engine: 'peer', seconds: [0, 1, 2] },
    ])
    const turn = ['ours ran', 'peer ran']
    expect(await readLog()).toEqual(['ours loaded', 'peer loaded', ...turn, ...turn, ...turn])
  })

  it('measures one program alone', async () => {
    expect(await runInTurns([command('ours')], 2)).toEqual([{ engine: 'ours', seconds: [0, 1] }])
  })

  it.each([
    ['fail to load', 'measuring with peer ended with code 4'],
    ['die in the second run', 'measuring with peer ended with code 3'],
    ['be killed', 'measuring with peer ended with SIGKILL'],
    ['end badly', 'measuring with peer ended with code 5'],
  ])('tells how one ended that shall %s, and leaves none over', async (act, message) => {
    await expect(runInTurns([command('ours'), command('peer', act)], 2)).rejects.toThrow(message)
    expect(await isRunning('ours')).toBe(false)
    expect(await isRunning('peer')).toBe(false)
  })

  it('tells of one that cannot be started, and leaves none over', async () => {
    const missing = { ...command('peer'), program: join(folder, 'missing') }
    await expect(runInTurns([command('ours'), missing], 1)).rejects.toThrow(
      /^measuring with peer could not be started: .*ENOENT/,
    )
    expect(await isRunning('ours')).toBe(false)
  })
})
