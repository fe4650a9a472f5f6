import { buildApp } from './app.ts'
import { type ApiConfig, loadConfig, maskSecrets } from './config.ts'
import { openQueues } from './queues.ts'
import { connectRedis } from './redis.ts'

function readConfig(): ApiConfig {
  try {
    return loadConfig()
  } catch (error) {
    console.error((error as Error).message)
    process.exit(1)
  }
}

const config = readConfig()
const redis = connectRedis(config.REDIS_URL)
const queues = openQueues(redis, { prefix: config.REDIS_PREFIX })
const app = buildApp({ redis, queues, config })
redis.on('error', ({ message }) => app.log.warn(`Redis connection: ${message}`))

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, async () => {
    app.log.info({ signal }, 'shutting down')
    await app.close()
    redis.disconnect()
  })

app.log.info({ config: maskSecrets(config) }, 'starting')
try {
  await app.listen({ port: config.API_PORT, host: config.HOST })
} catch (err) {
  app.log.fatal({ err }, 'could not start')
  process.exit(1)
}
