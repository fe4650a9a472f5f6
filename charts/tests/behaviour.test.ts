import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { imagesQueueName, modelNameOf } from '@sdcpu/contract'
import { describe, expect, it } from 'vitest'
import {
  CHARTS,
  containers,
  find,
  type Manifest,
  notes,
  ofKind,
  type Pod,
  pods,
  RELEASE,
  refusal,
  render,
  valuesFiles,
} from './render.ts'

const TDX_POOL = { 'nodepool-label': 'tdx-vm-pool' }
const HUB = {
  source: 'hub',
  hub: { repository: 'stabilityai/sdxl-turbo', revision: 'a'.repeat(40), acceptLicense: true },
}
const example = (name: string) =>
  valuesFiles('examples').find((entry) => entry.name === `examples/${name}`)!.file
const podOf = (objects: Manifest[], component: string): Pod =>
  pods(objects).find((pod) => pod.component === component)!
const workerOf = (objects: Manifest[]) => podOf(objects, 'worker').spec.containers[0]
const env = (container: Manifest) =>
  Object.fromEntries(container.env.map(({ name, value }: { name: string; value: string }) => [name, value]))

describe('the road of the article', () => {
  it('names pods and services as it does, on its ports', async () => {
    const objects = await render()
    const ports = ofKind(objects, 'Service').map(({ metadata, spec }) => [metadata.name, spec.ports[0].port])
    expect(ports).toEqual([
      [RELEASE, 5000],
      [`${RELEASE}-redis`, 6379],
      [`${RELEASE}-webui`, 5001],
    ])
    const names = ofKind(objects, 'Deployment').map(({ metadata }) => metadata.name)
    expect(names).toEqual([RELEASE, `${RELEASE}-webui`, `${RELEASE}-worker`])
    expect(ofKind(objects, 'StatefulSet').map(({ metadata }) => metadata.name)).toEqual([`${RELEASE}-redis`])
  })

  it('moves every pod by its three lines', async () => {
    const objects = await render({ files: [example('tdx_values.yaml')] })
    expect(pods(objects).map(({ spec }) => spec.nodeSelector)).toEqual(Array(5).fill(TDX_POOL))
  })
})

describe('tdx', () => {
  it('selects the TDX nodes for every pod, beside what the values select', async () => {
    const objects = await render({ set: { 'tdx.enabled': true, 'worker.nodeSelector': { size: 'large' } } })
    for (const { component, spec } of pods(objects))
      expect(spec.nodeSelector).toEqual({ ...TDX_POOL, ...(component === 'worker' && { size: 'large' }) })
  })

  it('adds its tolerations to those of each pod', async () => {
    const own = { key: 'own', operator: 'Exists' }
    const added = { key: 'tdx', operator: 'Exists' }
    const objects = await render({
      set: { 'tdx.enabled': true, tolerations: [own], 'tdx.node.tolerations': [added] },
    })
    expect(pods(objects).map(({ spec }) => spec.tolerations)).toEqual(Array(5).fill([own, added]))
  })

  it('lets redis write nothing to a disk', async () => {
    const objects = await render({ set: { 'tdx.enabled': true, 'redis.persistence.enabled': true } })
    expect(podOf(objects, 'redis').spec.volumes).toContainEqual({
      name: 'data',
      emptyDir: { medium: 'Memory', sizeLimit: '16Mi' },
    })
    expect(find(objects, 'ConfigMap', `${RELEASE}-redis`).data['redis.conf']).toMatch(/^appendonly no$/m)
    expect(ofKind(objects, 'PersistentVolumeClaim')).toEqual([])
  })

  it('lets redis write to a disk when asked', async () => {
    const objects = await render({
      set: { 'tdx.enabled': true, 'tdx.redisOnDisk': true, 'redis.persistence.enabled': true },
    })
    expect(find(objects, 'ConfigMap', `${RELEASE}-redis`).data['redis.conf']).toMatch(/^appendonly yes$/m)
    expect(ofKind(objects, 'PersistentVolumeClaim')).toHaveLength(1)
  })

  it('changes no field of redis that can never change', async () => {
    const [before, after] = await Promise.all([
      render({ set: { 'redis.persistence.enabled': true } }),
      render({ set: { 'redis.persistence.enabled': true, 'tdx.enabled': true } }),
    ])
    const fixed = (objects: Manifest[]) => {
      const { replicas: _, template: __, ...spec } = find(objects, 'StatefulSet', `${RELEASE}-redis`).spec
      return spec
    }
    expect(fixed(after)).toEqual(fixed(before))
  })

  it('runs every pod as a guest with twice the memory, in mode coco', async () => {
    const coco = {
      'tdx.enabled': true,
      'tdx.mode': 'coco',
      'tdx.coco.runtimeClassName': 'kata-qemu-tdx',
      'tdx.coco.podAnnotations': { policy: 'x' },
    }
    const [plain, guests] = [pods(await render()), pods(await render({ set: coco }))]
    expect(guests.map(({ spec }) => spec.runtimeClassName)).toEqual(Array(5).fill('kata-qemu-tdx'))
    for (const guest of guests) expect(guest.annotations, guest.owner).toMatchObject({ policy: 'x' })
    const memory = (all: Pod[]) =>
      all.flatMap((pod) => containers(pod).map(({ resources }) => mebibytes(resources.limits.memory)))
    expect(memory(guests)).toEqual(memory(plain).map((size) => 2 * size))
  })

  it('has no guest without memory of its own kind when it is off', async () => {
    for (const { spec } of pods(await render())) expect(spec.runtimeClassName).toBeUndefined()
  })
})

describe('workers', () => {
  it('are Guaranteed whole CPUs, which their threads follow', async () => {
    const objects = await render({ set: { 'worker.cpu': 14 } })
    for (const { resources } of containers(podOf(objects, 'worker'))) {
      const { 'ephemeral-storage': _, ...requests } = resources.requests
      expect(requests).toEqual(resources.limits)
      expect(resources.limits.cpu).toBe(14)
    }
    // The worker counts cores within its limit; a number of our own goes before.
    expect(env(workerOf(objects))).not.toHaveProperty('THREADS')
    expect(env(workerOf(await render({ set: { 'worker.threads': 7 } }))).THREADS).toBe('7')
  })

  it('replace one another, and have the grace that the longest batch asks for', async () => {
    const objects = await render({ set: { 'worker.longestBatchSeconds': 200 } })
    expect(find(objects, 'Deployment', `${RELEASE}-worker`).spec.strategy.rollingUpdate).toEqual({
      maxSurge: 0,
      maxUnavailable: 1,
    })
    expect(podOf(objects, 'worker').spec.terminationGracePeriodSeconds).toBe(215)
    expect(env(workerOf(objects)).SHUTDOWN_GRACE_SECONDS).toBe('200')
  })

  it('write to the models only before they start', async () => {
    const { initContainers, containers: main } = podOf(await render(), 'worker').spec
    const mount = ({ volumeMounts }: Manifest) => volumeMounts.find(({ name }: Manifest) => name === 'models')
    expect(mount(initContainers[0])).toEqual({ name: 'models', mountPath: '/models' })
    expect(mount(main[0])).toEqual({ name: 'models', mountPath: '/models', readOnly: true })
  })

  it('may start for as long as the values say', async () => {
    const { periodSeconds, failureThreshold } = workerOf(
      await render({ set: { 'worker.startupSeconds': 601 } }),
    ).startupProbe
    expect(periodSeconds * failureThreshold).toBe(605)
  })

  it('have a budget for disruptions where there are several', async () => {
    const budgets = async (replicas: number) =>
      ofKind(await render({ set: { 'worker.replicas': replicas } }), 'PodDisruptionBudget').map(
        ({ metadata }) => metadata.name,
      )
    expect(await budgets(1)).toEqual([])
    expect(await budgets(2)).toEqual([`${RELEASE}-worker`])
  })

  it('share one claim and wait for one another on it', async () => {
    const objects = await render({
      set: { model: { ...HUB, storage: { persistent: true } }, 'worker.replicas': 3 },
    })
    const claim = find(objects, 'PersistentVolumeClaim', `${RELEASE}-models`)
    expect(claim.spec).toMatchObject({
      accessModes: ['ReadWriteMany'],
      resources: { requests: { storage: '32Gi' } },
    })
    expect(claim.metadata.annotations).toEqual({ 'helm.sh/resource-policy': 'keep' })
  })
})

describe('scaling', () => {
  it('leaves the number of workers to KEDA', async () => {
    const objects = await render({ set: { 'worker.keda.enabled': true, model: HUB } })
    expect(find(objects, 'Deployment', `${RELEASE}-worker`).spec).not.toHaveProperty('replicas')
    expect(find(objects, 'Deployment', RELEASE).spec).toHaveProperty('replicas')
  })

  it('reads the lists that the queue has, and adds them up', async () => {
    const objects = await render({ set: { 'worker.keda.enabled': true, model: HUB } })
    const { spec } = find(objects, 'ScaledObject', `${RELEASE}-worker`)
    const queue = imagesQueueName('stabilityai/sdxl-turbo')
    const lists = Object.fromEntries(
      spec.triggers.map(({ name, metadata }: Manifest) => [name, metadata.listName]),
    )
    expect(lists).toEqual({
      waiting: `{sd}:${queue}:wait`,
      prioritized: `{sd}:${queue}:prioritized`,
      running: `{sd}:${queue}:active`,
    })
    expect(spec.advanced.scalingModifiers.formula).toBe('waiting + prioritized + running')
    const from = find(objects, 'NetworkPolicy', `${RELEASE}-redis`).spec.ingress[0].from
    expect(from).toContainEqual({
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'keda' } },
    })
  })
})

describe('an autoscaler', () => {
  it('is left the number of workers, and looks at the pictures of this model', async () => {
    const objects = await render({ set: { 'worker.autoscaling.enabled': true, model: HUB } })
    expect(find(objects, 'Deployment', `${RELEASE}-worker`).spec).not.toHaveProperty('replicas')
    const { external } = find(objects, 'HorizontalPodAutoscaler', `${RELEASE}-worker`).spec.metrics[0]
    expect(external.metric).toEqual({
      name: 'sd_queue_images',
      selector: { matchLabels: { model: 'stabilityai/sdxl-turbo' } },
    })
  })
})

describe('monitoring', () => {
  const on = {
    'monitoring.serviceMonitor.enabled': true,
    'monitoring.prometheusRule.enabled': true,
    'monitoring.dashboard.enabled': true,
  }
  const metricNames = () =>
    ['api/src', 'worker/src', 'web/src/server'].flatMap((folder) => {
      const source = readFileSync(join(CHARTS, '..', 'apps', folder, 'metrics.ts'), 'utf8')
      return [...source.matchAll(/name: '(sd_\w+)'/g)].map(([, name]) => name!)
    })

  it('finds the Services of api, web and workers, and no other', async () => {
    const objects = await render({ set: on })
    const { selector, endpoints } = find(objects, 'ServiceMonitor', RELEASE).spec
    const [{ key, values }] = selector.matchExpressions
    const found = ofKind(objects, 'Service').filter(({ metadata: { labels } }) => {
      const isOurs = Object.entries(selector.matchLabels).every(([name, value]) => labels[name] === value)
      return isOurs && values.includes(labels[key])
    })
    const names = found.map(({ metadata }) => metadata.name)
    expect(names.sort()).toEqual([RELEASE, `${RELEASE}-webui`, `${RELEASE}-worker`])
    for (const { spec } of found)
      expect(spec.ports.map(({ name }: Manifest) => name)).toContain(endpoints[0].port)
    const worker = find(objects, 'NetworkPolicy', `${RELEASE}-worker`).spec.ingress[0]
    expect(worker.from).toEqual([
      { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } },
    ])
  })

  it('counts restarts of the pods behind the Service of the workers', async () => {
    const objects = await render({ set: on })
    const rules = find(objects, 'PrometheusRule', RELEASE).spec.groups[0].rules
    const { expr } = rules.find(({ alert }: Manifest) => alert === 'WorkersRestart')
    expect(find(objects, 'Service', /service="([^"]+)"/.exec(expr)![1]!)).toBeTruthy()
    expect(expr).toContain('-worker"')
  })

  it('speaks of metrics that the apps have', async () => {
    const objects = await render({ set: on })
    const rules = JSON.stringify(find(objects, 'PrometheusRule', RELEASE))
    const dashboard = find(objects, 'ConfigMap', `${RELEASE}-dashboard`).data[`${RELEASE}.json`]
    expect(JSON.parse(dashboard).panels.length).toBeGreaterThan(5)
    const used = [...`${rules} ${dashboard}`.matchAll(/\bsd_\w+/g)].map(([name]) =>
      name.replace(/_(bucket|sum|count)$/, ''),
    )
    expect(metricNames()).toEqual(expect.arrayContaining([...new Set(used)]))
    expect(used.length).toBeGreaterThan(10)
  })
})

describe('the model', () => {
  const reference = `registry.example.com/models/m@sha256:${'0'.repeat(64)}`
  const sources: [Record<string, unknown>, string, string][] = [
    [{}, 'demo', 'demo'],
    [HUB, `stabilityai/sdxl-turbo@${'a'.repeat(40)}`, 'stabilityai/sdxl-turbo'],
    [{ source: 'pvc', pvc: { claimName: 'weights' } }, '/source', 'weights'],
    [
      { source: 'pvc', pvc: { claimName: 'weights', path: 'a/b.safetensors' } },
      '/source/a/b.safetensors',
      'b',
    ],
    [{ source: 'hostPath', hostPath: { folder: '/srv/turbo' } }, '/source', 'turbo'],
    [{ source: 'hostPath', hostPath: { folder: '/srv', path: 'x' } }, '/source/x', 'x'],
    [{ source: 'image', image: { reference } }, '/source', 'm'],
    [{ source: 'image', image: { reference, path: 'n' } }, '/source/n', 'n'],
    [{ ...HUB, name: 'turbo' }, `stabilityai/sdxl-turbo@${'a'.repeat(40)}`, 'turbo'],
  ]
  it.each(sources)('of %j is found where it is, and offered by a name', async (model, path, name) => {
    const objects = await render({ set: { model }, kubernetes: '1.35.0' })
    for (const component of ['api', 'worker'])
      expect(env(podOf(objects, component).spec.containers[0])).toMatchObject({
        MODEL: path,
        MODEL_NAME: name,
      })
    if (path !== '/source' && !('name' in model)) expect(modelNameOf(path)).toBe(name)
  })

  it('opens the network to the hub only where it comes from there', async () => {
    const ports = async (set: Record<string, unknown>) =>
      find(await render({ set: { model: set } }), 'NetworkPolicy', `${RELEASE}-worker`).spec.egress.flatMap(
        ({ ports }: Manifest) => ports.map(({ port }: Manifest) => port),
      )
    expect(await ports({})).toEqual([53, 53, 6379])
    expect(await ports(HUB)).toEqual([53, 53, 6379, 443])
  })
})

describe('redis', () => {
  it('gives callers the address and password that it has itself', async () => {
    const objects = await render()
    const reference = (container: Manifest) =>
      container.env.find(({ name }: Manifest) => name === 'REDIS_PASSWORD').valueFrom.secretKeyRef
    const own = reference(podOf(objects, 'redis').spec.containers[0])
    for (const component of ['api', 'worker']) {
      const [container] = podOf(objects, component).spec.containers
      expect(reference(container)).toEqual(own)
      expect(env(container).REDIS_URL).toBe(`redis://${RELEASE}-redis:6379`)
    }
    expect(find(objects, 'Secret', own.name).data).toHaveProperty(own.key)
  })

  it('restarts with those who know its password when it changes, and when its settings do', async () => {
    const annotations = async (set: Record<string, unknown>) =>
      Object.fromEntries(
        pods(await render({ set })).map(({ component, annotations }) => [component, annotations]),
      )
    const [one, other] = [await annotations({}), await annotations({ 'redis.memory': '2Gi' })]
    expect(one.redis!['checksum/config']).not.toBe(other.redis!['checksum/config'])
    // Each rendering without a cluster makes a password of its own.
    for (const component of ['redis', 'api', 'worker'])
      expect(one[component]!['checksum/redis-password']).not.toBe(
        other[component]!['checksum/redis-password'],
      )
    expect(one.redis!['checksum/redis-password']).toBe(one.api!['checksum/redis-password'])
    expect(one.web).toEqual({})
  })

  it('holds 70 % of its memory in data and refuses more', async () => {
    const conf = find(await render({ set: { 'redis.memory': '2Gi' } }), 'ConfigMap', `${RELEASE}-redis`).data[
      'redis.conf'
    ]
    expect(conf).toMatch(/^maxmemory 1433mb$/m)
    expect(conf).toMatch(/^maxmemory-policy noeviction$/m)
  })

  it('is not there with one of your own', async () => {
    const objects = await render({ files: [example('external-redis.yaml')] })
    expect(objects.filter(({ metadata }) => metadata.name === `${RELEASE}-redis`)).toEqual([])
    const egress = find(objects, 'NetworkPolicy', RELEASE).spec.egress
    expect(egress).toContainEqual({
      ports: [{ protocol: 'TCP', port: 6380 }],
      to: [{ ipBlock: { cidr: '192.0.2.7/32' } }],
    })
  })
})

describe('exposure', () => {
  it('lets in whom the values name, and the parts themselves', async () => {
    const peer = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'ingress' } } }
    const objects = await render({ set: { 'networkPolicy.from': [peer] } })
    const components = (name: string) =>
      find(objects, 'NetworkPolicy', name).spec.ingress[0].from.map(
        ({ podSelector }: Manifest) => podSelector?.matchLabels['app.kubernetes.io/component'],
      )
    expect(components(RELEASE)).toEqual([undefined, 'test', 'web'])
    expect(components(`${RELEASE}-webui`)).toEqual([undefined, 'test'])
  })

  it('leads all paths of a host to one part, so that clients of every kind reach the API there', async () => {
    const route = { enabled: true, parentRefs: [{ name: 'public' }] }
    const objects = await render({
      set: {
        'web.ingress': { enabled: true, host: 'draw.example.com' },
        'api.ingress': { enabled: true, host: 'api.example.com' },
        ...{ 'web.httpRoute': route, 'api.httpRoute': route },
      },
    })
    for (const name of [RELEASE, `${RELEASE}-webui`]) {
      const [rule] = find(objects, 'Ingress', name).spec.rules
      expect(rule.http.paths).toEqual([
        {
          ...{ path: '/', pathType: 'Prefix' },
          backend: { service: { name, port: { name: 'http' } } },
        },
      ])
      const [{ matches, backendRefs }] = find(objects, 'HTTPRoute', name).spec.rules
      expect(matches).toEqual([{ path: { type: 'PathPrefix', value: '/' } }])
      expect(backendRefs[0].name).toBe(name)
    }
  })

  it('says the next command for each way', async () => {
    expect(await notes()).toContain(`port-forward svc/${RELEASE}-webui 5001:5001`)
    const set = { 'web.service.type': 'LoadBalancer', 'api.service.type': 'NodePort' }
    expect(await notes({ set })).toMatch(
      new RegExp(`get service ${RELEASE}-webui --watch[\\s\\S]*get service ${RELEASE} -o jsonpath`),
    )
    const ingress = { 'web.ingress': { enabled: true, host: 'draw.example.com', tlsSecret: 'tls' } }
    expect(await notes({ set: ingress })).toContain('https://draw.example.com/')
    const route = {
      'web.httpRoute': { enabled: true, parentRefs: [{ name: 'public' }], hostnames: ['draw.example.com'] },
    }
    expect(await notes({ set: route })).toContain('http(s)://draw.example.com/ by the Gateway public')
    expect(await notes({ set: { 'web.enabled': false } })).not.toContain('webui')
  })
})

describe('checks', () => {
  const refused: [string, Record<string, unknown>, RegExp, string?][] = [
    [
      'coco without a runtime class',
      { 'tdx.enabled': true, 'tdx.mode': 'coco' },
      /tdx\.coco\.runtimeClassName is empty/,
    ],
    [
      'TDX without a pool',
      { 'tdx.enabled': true, 'tdx.node.nodeSelector': null },
      /tdx\.node\.nodeSelector is empty/,
    ],
    [
      'two pools for one pod',
      { 'tdx.enabled': true, 'web.nodeSelector': { 'nodepool-label': 'general' } },
      /web\.nodeSelector wants nodepool-label=general/,
    ],
    [
      'two pools for all pods',
      { 'tdx.enabled': true, nodeSelector: { 'nodepool-label': 'general' } },
      /\nnodeSelector wants nodepool-label=general/,
    ],
    [
      'prompts outside TDX',
      { 'tdx.enabled': true, 'redis.enabled': false, 'externalRedis.url': 'redis://r:6379' },
      /externalRedis sees prompts and pictures/,
    ],
    ['a hub without a repository', { 'model.source': 'hub' }, /model\.hub\.repository is empty/],
    [
      'a hub without a commit',
      { 'model.source': 'hub', 'model.hub.repository': 'a/b' },
      /model\.hub\.revision is empty/,
    ],
    [
      'a licence that nobody accepted',
      { 'model.source': 'hub', 'model.hub.repository': 'a/b' },
      /acceptLicense is false; read the licence of a\/b/,
    ],
    ['a claim without a name', { 'model.source': 'pvc' }, /model\.pvc\.claimName is empty/],
    ['a folder without a path', { 'model.source': 'hostPath' }, /model\.hostPath\.folder is empty/],
    [
      'an image without a reference',
      { 'model.source': 'image' },
      /model\.image\.reference is empty/,
      '1.35.0',
    ],
    [
      'image volumes before 1.35',
      { 'model.source': 'image', 'model.image.reference': `m@sha256:${'0'.repeat(64)}` },
      /the cluster is Kubernetes v1\.34\.9; image volumes are on by default from 1\.35/,
      '1.34.9',
    ],
    [
      'several workers on a volume for one',
      { 'worker.replicas': 2, 'model.storage': { persistent: true, accessMode: 'ReadWriteOnce' } },
      /ReadWriteOnce and there may be 2 workers/,
    ],
    [
      'several scaled workers on a volume for one',
      { 'worker.keda.enabled': true, 'model.storage': { persistent: true, accessMode: 'ReadWriteOnce' } },
      /there may be 4 workers/,
    ],
    [
      'a grace shorter than a batch',
      { 'worker.terminationGracePeriodSeconds': 60 },
      /terminationGracePeriodSeconds is 60; .* must be 70 at least/,
    ],
    [
      'a late takeover',
      { 'worker.lockDurationMs': 30000, 'worker.stalledIntervalMs': 1000 },
      /wait up to 32000 ms for another; the limit is 30000/,
    ],
    [
      'fewer workers at most than at least',
      { 'worker.keda': { enabled: true, minReplicas: 5, maxReplicas: 4 } },
      /maxReplicas is 4; it must not be less than minReplicas, which is 5/,
    ],
    [
      'KEDA without a queue to read',
      { 'worker.keda.enabled': true, 'redis.enabled': false, 'externalRedis.url': 'redis://r' },
      /needs this chart's redis/,
    ],
    [
      'two redis',
      { 'externalRedis.url': 'redis://r' },
      /redis\.enabled is true and externalRedis\.url is set/,
    ],
    ['no redis', { 'redis.enabled': false }, /externalRedis\.url is empty/],
    [
      'several servers in standalone',
      { 'redis.enabled': false, 'externalRedis.url': 'redis://a,redis://b' },
      /names several servers/,
    ],
    [
      'certificates without TLS',
      { 'redis.enabled': false, externalRedis: { url: 'redis://a', tls: { secretName: 's' } } },
      /without TLS; write rediss/,
    ],
    [
      'half a certificate',
      {
        'redis.enabled': false,
        externalRedis: { url: 'rediss://a', tls: { secretName: 's', certKey: 'c' } },
      },
      /certKey and externalRedis\.tls\.keyKey must be given together/,
    ],
    ['a bucket without a name', { 'results.store': 's3' }, /results\.s3\.bucket is empty/],
    [
      'pictures in a bucket outside TDX',
      { 'tdx.enabled': true, results: { store: 's3', s3: { bucket: 'b' } } },
      /results\.s3 holds pictures/,
    ],
    [
      'webhooks without a signature',
      { 'api.webhooks.hosts': ['a.example.com'] },
      /api\.webhooks\.secret\.name is empty/,
    ],
    [
      'a judge outside TDX',
      { 'tdx.enabled': true, 'safety.url': 'http://judge' },
      /safety\.url is asked about prompts and pictures/,
    ],
    ['a test without a key', { 'api.keysSecret.name': 'keys' }, /helm test has no key to draw with/],
    [
      'two that count workers',
      { 'worker.keda.enabled': true, 'worker.autoscaling.enabled': true },
      /only one can count the workers/,
    ],
    [
      'fewer scaled workers at most than at least',
      { 'worker.autoscaling': { enabled: true, minReplicas: 5 } },
      /autoscaling\.maxReplicas is 4; it must not be less than minReplicas, which is 5/,
    ],
    ['an Ingress for everything', { 'web.ingress.enabled': true }, /web\.ingress\.host is empty/],
    ['a route without a gateway', { 'api.httpRoute.enabled': true }, /api\.httpRoute\.parentRefs is empty/],
    ['latest', { 'worker.image.tag': 'latest' }, /worker\.image\.tag is latest/],
  ]
  it.each(refused)('refuse %s', async (_, set, message, kubernetes) => {
    expect(await refusal({ set, kubernetes })).toMatch(message)
  })

  it('says all that is wrong at once', async () => {
    const text = await refusal({ set: { 'model.source': 'hub', 'redis.enabled': false } })
    expect(text).toMatch(
      /repository is empty[\s\S]*revision is empty[\s\S]*acceptLicense is false[\s\S]*externalRedis\.url is empty/,
    )
  })

  it('refuses Kubernetes before 1.27', async () => {
    expect(await refusal({ kubernetes: '1.26.15' })).toMatch(/1\.26\.15/)
  })
})

describe('the schema', () => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ 'worker.replica': 2 }, /replica/],
    [{ workers: {} }, /workers/],
    [{ 'redis.persistance.enabled': true }, /persistance/],
    [{ 'worker.cpu': '14' }, /worker\.cpu/],
    [{ 'worker.cpu': 1.5 }, /worker\.cpu/],
    [{ 'worker.memory': '20G' }, /worker\.memory/],
    [{ 'model.source': 's3' }, /model\.source/],
    [{ 'model.hub.revision': 'main' }, /model\.hub\.revision/],
    [{ 'model.pvc.path': '../other' }, /model\.pvc\.path/],
    [{ 'model.image.reference': 'models:1' }, /model\.image\.reference/],
    [{ 'externalRedis.url': 'redis://user:secret@r:6379' }, /externalRedis\.url/],
    [{ 'api.queueLimit': 4 }, /api\.queueLimit/],
    [{ nodeSelector: { pool: 1 } }, /nodeSelector/],
  ]
  it.each(wrong)('refuses %j', async (set, message) => {
    const text = await refusal({ set })
    expect(text).toMatch(/schema/)
    expect(text).toMatch(message)
  })
})

const mebibytes = (size: string) => Number.parseInt(size, 10) * (size.endsWith('Gi') ? 1024 : 1)
