import { fileURLToPath } from 'node:url'
import { loadConfig } from './config.ts'
import { buildServer } from './server.ts'

try {
  await start()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}

async function start(): Promise<void> {
  const config = loadConfig()
  const app = await buildServer({
    pageDir: fileURLToPath(new URL('../../dist', import.meta.url)),
    apiUrl: config.API_URL,
    apiTimeoutMs: config.API_TIMEOUT_SECONDS * 1000,
    logger: true,
  })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void app.close())
  app.log.info({ config }, 'starting')
  await app.listen({ host: config.HOST, port: config.WEB_PORT })
}
