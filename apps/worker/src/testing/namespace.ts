import { randomUUID } from 'node:crypto'

/** A prefix of its own on the tests' Redis, so that test files can run side by side. */
export function testNamespace(env: NodeJS.ProcessEnv): { url: string; prefix: string } {
  const url = env.TEST_REDIS_URL
  if (!url)
    throw new Error('TEST_REDIS_URL is not set; start a Redis and name it, as vitest does from the root')
  return { url, prefix: `{test-${randomUUID()}}` }
}
