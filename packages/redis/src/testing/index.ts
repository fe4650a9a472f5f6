export {
  type RedisServer,
  startCluster,
  startProtectedRedis,
  startRedisServer,
  startSentinel,
} from './redis-servers.ts'
