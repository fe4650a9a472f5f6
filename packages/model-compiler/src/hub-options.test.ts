import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createHubClient } from './hub-client.ts'
import { readHubOptions, settleHubOptions } from './hub-options.ts'
import { readRetryAfter } from './hub-retry.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-hub-options-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

it('reads the token from a file where there is none in the environment', async () => {
  const HF_TOKEN_PATH = join(folder, 'token')
  await writeFile(HF_TOKEN_PATH, 'hf_file\n')
  expect((await readHubOptions({ HF_TOKEN_PATH })).token).toBe('hf_file')
  expect((await readHubOptions({ HF_TOKEN_PATH, HF_TOKEN: ' hf_env ' })).token).toBe('hf_env')
  expect((await readHubOptions({})).token).toBeUndefined()
})

it('names the fault of a token and never the token', async () => {
  const empty = join(folder, 'empty')
  await writeFile(empty, '\n')
  await expect(readHubOptions({ HF_TOKEN_PATH: empty })).rejects.toThrow(
    /^HF_TOKEN_PATH is .*empty, which is empty/,
  )
  await expect(readHubOptions({ HF_TOKEN_PATH: join(folder, 'none') })).rejects.toThrow(
    /^HF_TOKEN_PATH cannot be read: ENOENT/,
  )
  const told = await readHubOptions({ HF_TOKEN: 'hf secret' }).catch((error: Error) => error.message)
  expect(told).toMatch(/it must be one word like hf_\.\.\.$/)
  expect(told).not.toContain('secret')
})

it.each([
  ['huggingface.co', /HF_ENDPOINT is "huggingface.co"; it must be a URL such as https:\/\/huggingface.co/],
  ['ftp://a', /HF_ENDPOINT is "ftp:\/\/a"/],
  [
    'https://me:secret@a',
    /^HF_ENDPOINT holds a user or password; it must be a plain URL, with HF_TOKEN beside it$/,
  ],
])('refuses the endpoint %s', (endpoint, message) => {
  expect(() => settleHubOptions({ endpoint })).toThrow(message)
})

it('refuses a proxy that is no address without printing it', () => {
  const settings = settleHubOptions({ proxy: { HTTPS_PROXY: 'http://me:secret@a b' } })
  expect(() => createHubClient(settings)).toThrow(/^HTTP_PROXY or HTTPS_PROXY is no address; one looks like/)
})

it('takes a mirror below a path, with or without a slash behind it', () => {
  expect(settleHubOptions({ endpoint: 'https://a/hub//' }).endpoint).toBe('https://a/hub')
  expect(settleHubOptions({ endpoint: '' }).endpoint).toBe('https://huggingface.co')
})

it('reads Retry-After as seconds or as a date', () => {
  const now = Date.parse('2026-01-01T00:00:00Z')
  expect(readRetryAfter('7', now)).toBe(7000)
  expect(readRetryAfter('Thu, 01 Jan 2026 00:01:00 GMT', now)).toBe(60_000)
  expect(readRetryAfter('Wed, 31 Dec 2025 00:00:00 GMT', now)).toBe(0)
  expect(readRetryAfter('soon', now)).toBe(0)
})
