import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { gatherWrites } from './gather-writes.ts'
import { databaseOf, type RedisConfig, readUrls } from './redis-config.ts'

/**
 * `none`: a command fails at once while Redis is away, since callers wait for it. `endless`: it waits until Redis is back,
 * as BullMQ asks of connections that block.
 */
export type RedisPatience = 'none' | 'endless'

const RETRY_STEP_MS = 200
const RETRY_MAX_MS = 2000
const PORT = 6379
const SENTINEL_PORT = 26379
const CONNECT_TIMEOUT_MS = 5000

/**
 * Connects to the Redis that the variables name, and goes on trying whenever it is away. A client of a cluster is given
 * out as the `Redis` whose commands it has.
 */
export function connectRedis(config: RedisConfig, options: { patience: RedisPatience }): Redis {
  const client = openClient(config, options)
  gatherWrites(client)
  return client
}

function openClient(config: RedisConfig, { patience }: { patience: RedisPatience }): Redis {
  const urls = readUrls(config.REDIS_URL)
  const tls = urls[0]?.protocol === 'rediss:' ? readTls(config) : undefined
  const shared: RedisOptions = {
    ...credentialsOf(config, urls[0]!),
    ...(tls && { tls }),
    connectTimeout: CONNECT_TIMEOUT_MS,
    maxRetriesPerRequest: patience === 'none' ? 0 : null,
    enableOfflineQueue: patience === 'endless',
    retryStrategy: backOff,
    // After a failover an old connection may lead to what is a replica now.
    reconnectOnError: (error) => (error.message.startsWith('READONLY') ? 2 : false),
  }
  if (config.REDIS_MODE === 'cluster') return connectCluster(urls, shared, patience)
  if (config.REDIS_MODE === 'sentinel') return connectSentinel(urls, shared, config)
  const { hostname, port } = urls[0]!
  return new Redis({
    ...shared,
    host: plainHost(hostname),
    port: Number(port || PORT),
    db: databaseOf(urls[0]!),
  })
}

function connectSentinel(urls: URL[], { tls, ...shared }: RedisOptions, config: RedisConfig): Redis {
  const { username: sentinelUsername, password: sentinelPassword } = {
    username: config.REDIS_SENTINEL_USERNAME,
    password: config.REDIS_SENTINEL_PASSWORD,
  }
  return new Redis({
    ...shared,
    ...(tls && { tls, sentinelTLS: tls, enableTLSForSentinelMode: true }),
    ...(sentinelUsername && { sentinelUsername }),
    ...(sentinelPassword && { sentinelPassword }),
    sentinels: urls.map((url) => ({
      host: plainHost(url.hostname),
      port: Number(url.port || SENTINEL_PORT),
    })),
    name: config.REDIS_SENTINEL_MASTER,
    db: databaseOf(urls[0]!),
    sentinelRetryStrategy: backOff,
  })
}

function connectCluster(
  urls: URL[],
  { retryStrategy: _, enableOfflineQueue, ...redisOptions }: RedisOptions,
  patience: RedisPatience,
): Redis {
  const nodes = urls.map(({ hostname, port }) => ({ host: plainHost(hostname), port: Number(port || PORT) }))
  const cluster = new Cluster(nodes, {
    enableOfflineQueue,
    clusterRetryStrategy: backOff,
    // A moved slot is found at once; a slot that nobody serves is not worth a caller's wait.
    ...(patience === 'none' && { maxRedirections: 4 }),
    redisOptions,
    // Certificates hold names, and nodes tell each other's addresses.
    ...(redisOptions.tls && { dnsLookup: (address, callback) => callback(null, address) }),
  })
  return cluster as unknown as Redis
}

function backOff(attempt: number): number {
  return Math.min(attempt * RETRY_STEP_MS, RETRY_MAX_MS)
}

function credentialsOf(config: RedisConfig, url: URL): Pick<RedisOptions, 'username' | 'password'> {
  const username = config.REDIS_USERNAME ?? decodeURIComponent(url.username)
  const password = config.REDIS_PASSWORD ?? decodeURIComponent(url.password)
  return { ...(username && { username }), ...(password && { password }) }
}

function readTls(config: RedisConfig): ConnectionOptions {
  const { REDIS_TLS_CA_FILE, REDIS_TLS_CERT_FILE, REDIS_TLS_KEY_FILE, REDIS_TLS_SERVERNAME } = config
  return {
    ...(REDIS_TLS_CA_FILE && { ca: readFileSync(REDIS_TLS_CA_FILE) }),
    ...(REDIS_TLS_CERT_FILE && { cert: readFileSync(REDIS_TLS_CERT_FILE) }),
    ...(REDIS_TLS_KEY_FILE && { key: readFileSync(REDIS_TLS_KEY_FILE) }),
    ...(REDIS_TLS_SERVERNAME && { servername: REDIS_TLS_SERVERNAME }),
  }
}

/** An IPv6 address without the brackets that it has in a URL. */
function plainHost(hostname: string): string {
  return hostname.replaceAll(/^\[|\]$/g, '')
}
