import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { withFileLock } from './file-lock.ts'

let folder: string
let path: string
let waited: string[]
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-lock-'))
  path = join(folder, 'a.lock')
  waited = []
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const options = { heartbeatMs: 30, staleMs: 800, onWait: (holder: string) => waited.push(holder) }
const foreign = { id: 'x', host: 'other', pid: 7, place: 'another kernel' }

it('lets one at a time in, and leaves nothing behind', async () => {
  let inside = 0
  let most = 0
  const enter = () =>
    withFileLock(path, options, async () => {
      inside += 1
      most = Math.max(most, inside)
      await sleep(50)
      inside -= 1
    })
  await Promise.all(Array.from({ length: 6 }, enter))
  expect(most).toBe(1)
  expect(waited).toHaveLength(5)
  expect(waited[0]).toBe(`process ${process.pid} on ${hostname()}`)
  expect(await readdir(folder)).toEqual([])
})

it('is free again after a failure', async () => {
  const failing = withFileLock(path, options, async () => {
    throw new Error('no')
  })
  await expect(failing).rejects.toThrow('no')
  expect(await withFileLock(path, options, async () => 'in')).toBe('in')
  expect(waited).toEqual([])
})

it('lets one alone take over a lock that has fallen silent, whatever its clock says', async () => {
  await writeFile(path, JSON.stringify(foreign))
  const ahead = new Date(Date.now() + 86_400_000)
  await utimes(path, ahead, ahead)
  const started = performance.now()
  let inside = 0
  let most = 0
  await Promise.all(
    Array.from({ length: 4 }, () =>
      withFileLock(path, options, async () => {
        inside += 1
        most = Math.max(most, inside)
        await sleep(30)
        inside -= 1
      }),
    ),
  )
  expect(most).toBe(1)
  expect(performance.now() - started).toBeGreaterThan(800)
  expect(waited).toContain('process 7 on other')
})

it('waits for a lock that shows signs of life', async () => {
  await writeFile(path, JSON.stringify(foreign))
  const timer = setInterval(() => utimes(path, new Date(), new Date()).catch(() => {}), 50)
  const entered = withFileLock(path, options, async () => 'in')
  expect(await Promise.race([entered, sleep(1600, 'waiting')])).toBe('waiting')
  clearInterval(timer)
  await rm(path)
  expect(await entered).toBe('in')
})

it('takes over at once what a dead process of this machine held', async () => {
  const holder = await withFileLock(path, options, () => readFile(path, 'utf8'))
  // No process has this number: Linux counts to 4194304 at most.
  await writeFile(path, JSON.stringify({ ...JSON.parse(holder), pid: 99999999 }))
  const started = performance.now()
  await withFileLock(path, options, async () => {})
  expect(performance.now() - started).toBeLessThan(700)
  expect(waited).toEqual([])
})

it('tells a holder that lost its lock to another', async () => {
  await withFileLock(path, options, async (signal) => {
    await writeFile(path, JSON.stringify(foreign))
    await sleep(200)
    expect(signal.aborted).toBe(true)
  })
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(foreign) // not ours to remove
})
