import { connectRedis } from '@sdcpu/redis'
import { type ApiKey, readApiKeys } from './api-keys.ts'
import { buildApp } from './app.ts'
import { type ApiConfig, loadConfig, maskSecrets } from './config.ts'
import { openQueues } from './queues.ts'

function readConfig(): { config: ApiConfig; apiKeys: ApiKey[] | undefined } {
  try {
    const config = loadConfig()
    return { config, apiKeys: readApiKeys(config) }
  } catch (error) {
    console.error((error as Error).message)
    process.exit(1)
  }
}

const { config, apiKeys } = readConfig()
const redis = connectRedis(config, { patience: 'none' })
const queues = openQueues(redis, { prefix: config.REDIS_PREFIX })
const openConnection = () => {
  const connection = connectRedis(config, { patience: 'endless' })
  connection.on('error', () => {}) // the one above reports the same
  return connection
}
const app = buildApp({ redis, queues, openConnection, apiKeys, config })
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
