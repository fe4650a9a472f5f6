import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'

const AUTOGROUP = '/proc/self/autogroup'
const hasGroups = existsSync(AUTOGROUP)

const SCRIPT = `
import { readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { giveWay } from ${JSON.stringify(new URL('./give-way.ts', import.meta.url))}
const niceOfGroup = () => ${hasGroups} ? / nice (-?\\d+)/.exec(readFileSync('${AUTOGROUP}', 'utf8'))?.[1] : undefined
const before = niceOfGroup()
await giveWay()
console.log(JSON.stringify({ own: getPriority(), before, after: niceOfGroup() }))`

async function runAlone({ detached }: { detached: boolean }) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT], { detached })
  return JSON.parse(await text(child.stdout))
}

it('gives way to what runs in other sessions where the process has one of its own', async () => {
  const { own, after } = await runAlone({ detached: true })
  expect(own).toBe(15)
  expect(after).toBe(hasGroups ? '15' : undefined)
})

it('leaves the session alone that it shares with others', async () => {
  const { own, before, after } = await runAlone({ detached: false })
  expect(own).toBe(15)
  expect(after).toBe(before)
})
