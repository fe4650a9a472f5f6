// Stops and starts drawing: `node apps/api/src/queue-command.ts pause|resume|status MODEL…`, with the API's environment.
import { connectRedis } from '@sdcpu/redis'
import { loadConfig } from './config.ts'
import { openQueue } from './redis.ts'

const USAGE = `Usage: queue-command.ts pause|resume|status MODEL…

  pause   no worker takes images of the model any more; those being drawn are finished, others may still be asked for
  resume  workers take them again
  status  says whether the queue is paused, and what waits in it`

process.exitCode = await main(process.argv.slice(2))

async function main([command = '', ...models]: string[]): Promise<number> {
  if (!['pause', 'resume', 'status'].includes(command) || models.length === 0) {
    console.error(USAGE)
    return 2
  }
  const config = loadConfig()
  const redis = connectRedis(config, { patience: 'endless' })
  redis.on('error', ({ message }) => console.error(`Redis connection: ${message}`))
  for (const model of models) {
    const queue = openQueue(redis, { model, prefix: config.REDIS_PREFIX })
    if (command === 'pause') await queue.pause()
    if (command === 'resume') await queue.resume()
    const { waiting = 0, prioritized = 0, active = 0 } = await queue.getJobCounts()
    const state = (await queue.isPaused()) ? 'paused' : 'running'
    console.log(`${model}: ${state}, ${waiting + prioritized} images waiting, ${active} held by workers`)
  }
  redis.disconnect()
  return 0
}
