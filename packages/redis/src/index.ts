export { connectRedis, type RedisPatience } from './connect-redis.ts'
export { checkRedisConfig, maskRedisSecrets, RedisConfig } from './redis-config.ts'
