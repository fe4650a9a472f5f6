import { describe, expect, it } from 'vitest'
import {
  containers,
  KUBERNETES,
  lint,
  type Manifest,
  ofKind,
  type Pod,
  pods,
  render,
  valuesFiles,
} from './render.ts'
import { openSchemas } from './schemas.ts'

const scenarios = [
  ...valuesFiles('ci').map(({ name, file }) => ({ name, files: [file] })),
  ...valuesFiles('examples').map(({ name, file }) => ({ name, files: [...baseOf(name), file] })),
]
const NEEDS_IMAGE_VOLUMES = /image-volume/
const RESTRICTED_VOLUMES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
  'image',
]

/** Examples that say they go with another. */
function baseOf(name: string): string[] {
  const examples = valuesFiles('examples')
  return name === 'examples/ack-g8i.yaml'
    ? examples.filter(({ name }) => name === 'examples/values-sdxl-turbo.yaml').map(({ file }) => file)
    : []
}

it('has a scenario for every way of running', () => {
  expect(scenarios.length).toBeGreaterThanOrEqual(20)
})

describe.each(scenarios)('$name', ({ name, files }) => {
  const versions = NEEDS_IMAGE_VOLUMES.test(name) ? KUBERNETES.slice(-1) : KUBERNETES
  const rendered = new Map<string, Promise<Manifest[]>>()
  const objectsOf = (kubernetes: string) => {
    if (!rendered.has(kubernetes)) rendered.set(kubernetes, render({ files, kubernetes }))
    return rendered.get(kubernetes)!
  }

  // `helm lint` takes the version of Kubernetes that this helm was built with, which is older than image volumes.
  if (!NEEDS_IMAGE_VOLUMES.test(name)) it('passes helm lint --strict', () => lint({ files }))

  it.each(versions)('names each object once, and none with a namespace, on %s', async (kubernetes) => {
    const objects = await objectsOf(kubernetes)
    const names = objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`)
    expect(new Set(names).size).toBe(names.length)
    expect(objects.filter(({ metadata }) => metadata.namespace)).toEqual([])
    expect(names).toContainEqual(expect.stringMatching(/^Deployment\/.*-worker$/))
  })

  it.each(versions)('is what Kubernetes %s and the custom resources have fields for', async (kubernetes) => {
    const faultsOf = openSchemas(kubernetes)
    expect((await objectsOf(kubernetes)).flatMap(faultsOf)).toEqual([])
  })

  it.each(versions)('selects the pods that it makes, on %s', async (kubernetes) => {
    const objects = await objectsOf(kubernetes)
    for (const { metadata, spec } of [...ofKind(objects, 'Deployment'), ...ofKind(objects, 'StatefulSet')]) {
      expect(spec.template.metadata.labels, metadata.name).toMatchObject(spec.selector.matchLabels)
    }
    const selectors = [
      ...ofKind(objects, 'Service').map(({ spec }) => spec.selector),
      ...ofKind(objects, 'PodDisruptionBudget').map(({ spec }) => spec.selector.matchLabels),
      ...ofKind(objects, 'NetworkPolicy').map(({ spec }) => spec.podSelector.matchLabels),
    ]
    for (const selector of selectors) expect(selected(objects, selector)).toHaveLength(1)
  })

  it.each(versions)('has a container port behind every port that is named, on %s', async (kubernetes) => {
    const objects = await objectsOf(kubernetes)
    for (const { spec } of ofKind(objects, 'Service')) {
      const [pod] = selected(objects, spec.selector)
      for (const { targetPort } of spec.ports) expect(portsOf(pod!)).toHaveProperty(targetPort)
    }
    for (const pod of pods(objects)) {
      for (const probe of probesOf(pod)) {
        const { port } = probe.httpGet ?? probe.tcpSocket ?? {}
        if (port !== undefined) expect(portsOf(pod)).toHaveProperty(String(port))
      }
    }
    for (const { spec } of ofKind(objects, 'NetworkPolicy')) {
      for (const { ports, from } of spec.ingress ?? []) {
        const [pod] = selected(objects, spec.podSelector.matchLabels)
        for (const { port } of ports)
          expect(Object.values(portsOf(pod!)), JSON.stringify(from)).toContain(port)
      }
    }
  })

  it.each(versions)('refers to objects that it makes or that the values name, on %s', async (kubernetes) => {
    const objects = await objectsOf(kubernetes)
    const own = new Set(objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`))
    const foreign = references(objects).filter((reference) => !own.has(reference))
    expect(new Set(foreign)).toEqual(new Set(FOREIGN[name] ?? []))
    for (const service of hostsCalled(objects)) expect(own).toContain(`Service/${service}`)
  })

  it.each(versions)('keeps Pod Security restricted, on %s', async (kubernetes) => {
    for (const pod of pods(await objectsOf(kubernetes))) {
      const faults = breachesOf(pod)
      const expected =
        name === 'ci/host-path-values.yaml' && pod.component === 'worker' ? ['volume hostPath'] : []
      expect(faults, pod.owner).toEqual(expected)
    }
  })

  it.each(versions)('fixes every image to a version or a digest, on %s', async (kubernetes) => {
    const images = pods(await objectsOf(kubernetes)).flatMap((pod) =>
      containers(pod).map(({ image }) => image),
    )
    for (const image of images) {
      expect(image).toMatch(/(@sha256:[0-9a-f]{64}|:[\w][\w.-]*)$/)
      expect(image).not.toMatch(/:latest$/)
    }
  })

  it.each(versions)('asks for cpu and memory, and limits memory, everywhere, on %s', async (kubernetes) => {
    for (const pod of pods(await objectsOf(kubernetes))) {
      for (const { name, resources } of containers(pod)) {
        expect(resources, `${pod.owner} ${name}`).toMatchObject({
          requests: { cpu: expect.anything(), memory: expect.anything() },
          limits: { memory: resources.requests.memory },
        })
      }
    }
  })

  it.each(versions)(
    'keeps secrets out of ConfigMaps, arguments and plain values, on %s',
    async (kubernetes) => {
      const objects = await objectsOf(kubernetes)
      const passwords = ofKind(objects, 'Secret').flatMap(({ data }) =>
        Object.values(data).map((value) => Buffer.from(String(value), 'base64').toString()),
      )
      const others = JSON.stringify(objects.filter(({ kind }) => kind !== 'Secret'))
      for (const password of passwords) {
        expect(password).toMatch(/^[A-Za-z0-9]{32}$/)
        expect(others).not.toContain(password)
      }
    },
  )

  it.each(versions)('mounts no token and no volume that is not there, on %s', async (kubernetes) => {
    for (const pod of pods(await objectsOf(kubernetes))) {
      expect(pod.spec.automountServiceAccountToken, pod.owner).toBe(false)
      const volumes = (pod.spec.volumes ?? []).map(({ name }: Manifest) => name)
      const mounted = containers(pod).flatMap(({ volumeMounts = [] }) =>
        volumeMounts.map(({ name }: Manifest) => name),
      )
      expect(new Set(mounted), pod.owner).toEqual(new Set(volumes))
    }
  })
})

// What the values of a scenario name, and whoever installs must have made.
const HUB_CLAIM = 'PersistentVolumeClaim/'
const FOREIGN: Record<string, string[]> = {
  'ci/hub-values.yaml': ['Secret/hub'],
  'ci/pvc-values.yaml': [`${HUB_CLAIM}weights`, `${HUB_CLAIM}compiled`],
  'ci/external-redis-secret-values.yaml': ['Secret/redis', 'Secret/redis-tls'],
  'ci/redis-sentinel-values.yaml': ['Secret/redis'],
  'ci/s3-values.yaml': ['Secret/minio'],
  'ci/safety-webhooks-values.yaml': ['Secret/webhooks'],
  'ci/keys-values.yaml': ['Secret/keys', 'Secret/test-key'],
  'examples/s3.yaml': ['Secret/bucket'],
  'ci/gitops-values.yaml': ['Secret/redis-auth', `${HUB_CLAIM}redis-data`, 'ServiceAccount/drawer'],
  'ci/ingress-values.yaml': ['Secret/draw-tls'],
  'ci/everything-values.yaml': ['Secret/pull'],
  'examples/external-redis.yaml': ['Secret/redis'],
  'examples/air-gapped.yaml': [`${HUB_CLAIM}weights`],
}

function selected(objects: Manifest[], selector: Record<string, string>): Pod[] {
  return pods(objects).filter(({ labels }) =>
    Object.entries(selector).every(([name, value]) => labels[name] === value),
  )
}

const portsOf = (pod: Pod): Record<string, number> =>
  Object.fromEntries(
    containers(pod).flatMap(({ ports = [] }) =>
      ports.map(({ name, containerPort }: Manifest) => [name, containerPort]),
    ),
  )

const probesOf = (pod: Pod): Manifest[] =>
  containers(pod).flatMap(({ startupProbe, livenessProbe, readinessProbe }) =>
    [startupProbe, livenessProbe, readinessProbe].filter(Boolean),
  )

/** Everything that an object needs another for, as `Kind/name`. */
function references(objects: Manifest[]): string[] {
  const fromPods = pods(objects).flatMap((pod) => [
    `ServiceAccount/${pod.spec.serviceAccountName}`,
    ...(pod.spec.imagePullSecrets ?? []).map(({ name }: Manifest) => `Secret/${name}`),
    ...(pod.spec.volumes ?? []).flatMap(({ secret, configMap, persistentVolumeClaim }: Manifest) => [
      ...(secret ? [`Secret/${secret.secretName}`] : []),
      ...(configMap ? [`ConfigMap/${configMap.name}`] : []),
      ...(persistentVolumeClaim ? [`PersistentVolumeClaim/${persistentVolumeClaim.claimName}`] : []),
    ]),
    ...containers(pod).flatMap(({ env = [] }) =>
      env.flatMap(({ valueFrom }: Manifest) => {
        const { secretKeyRef, configMapKeyRef } = valueFrom ?? {}
        if (secretKeyRef) expectKey(objects, 'Secret', secretKeyRef)
        if (configMapKeyRef) expectKey(objects, 'ConfigMap', configMapKeyRef)
        return [
          ...(secretKeyRef ? [`Secret/${secretKeyRef.name}`] : []),
          ...(configMapKeyRef ? [`ConfigMap/${configMapKeyRef.name}`] : []),
        ]
      }),
    ),
  ])
  const fromRoutes = [
    ...ofKind(objects, 'Ingress').flatMap(({ spec }) => [
      ...(spec.tls ?? []).map(({ secretName }: Manifest) => `Secret/${secretName}`),
      ...spec.rules.map(({ http }: Manifest) => `Service/${http.paths[0].backend.service.name}`),
    ]),
    ...ofKind(objects, 'HTTPRoute').map(({ spec }) => `Service/${spec.rules[0].backendRefs[0].name}`),
    ...ofKind(objects, 'HorizontalPodAutoscaler').map(({ spec }) => `Deployment/${spec.scaleTargetRef.name}`),
    ...ofKind(objects, 'ScaledObject').map(({ spec }) => `Deployment/${spec.scaleTargetRef.name}`),
    ...ofKind(objects, 'TriggerAuthentication').map(({ spec }) => `Secret/${spec.secretTargetRef[0].name}`),
    ...ofKind(objects, 'StatefulSet').map(({ spec }) => `Service/${spec.serviceName}`),
  ]
  return [...fromPods, ...fromRoutes]
}

function expectKey(objects: Manifest[], kind: string, { name, key }: { name: string; key: string }): void {
  const own = objects.find((object) => object.kind === kind && object.metadata.name === name)
  if (own) expect(own.data).toHaveProperty(key)
}

/** Hosts without a dot in URLs of the environment: services of the same namespace. */
function hostsCalled(objects: Manifest[]): string[] {
  const values = pods(objects).flatMap((pod) =>
    containers(pod).flatMap(({ env = [] }) => env.map(({ value }: Manifest) => value ?? '')),
  )
  return values.flatMap((value) =>
    [...String(value).matchAll(/:\/\/(?:[^@/\s]*@)?([a-z][a-z0-9-]*):\d+/g)].map(([, host]) => host!),
  )
}

/** The rules of Pod Security `restricted` that a pod breaks. */
function breachesOf({ spec }: Pod): string[] {
  const pod = spec.securityContext ?? {}
  const volumes = (spec.volumes ?? []).flatMap(({ name: _, ...kind }: Manifest) => Object.keys(kind))
  const inPod = [
    ...volumes
      .filter((kind: string) => !RESTRICTED_VOLUMES.includes(kind))
      .map((kind: string) => `volume ${kind}`),
    ...['hostNetwork', 'hostPID', 'hostIPC'].filter((key) => spec[key]),
    ...(pod.runAsNonRoot === true && pod.runAsUser > 0 ? [] : ['runs as root']),
    ...(pod.seccompProfile?.type === 'RuntimeDefault' ? [] : ['no seccomp profile']),
    ...(pod.sysctls ? ['sysctls'] : []),
  ]
  const all = [...(spec.initContainers ?? []), ...spec.containers]
  const inContainers = all.flatMap(({ name, securityContext: own = {}, ports = [] }) => [
    ...(own.allowPrivilegeEscalation === false ? [] : [`${name} may gain privileges`]),
    ...(own.capabilities?.drop?.includes('ALL') && !own.capabilities.add
      ? []
      : [`${name} keeps capabilities`]),
    ...(own.readOnlyRootFilesystem === true ? [] : [`${name} may write to its root`]),
    ...(own.privileged ? [`${name} is privileged`] : []),
    ...ports.filter(({ hostPort }: Manifest) => hostPort).map(() => `${name} takes a host port`),
  ])
  return [...inPod, ...inContainers]
}
