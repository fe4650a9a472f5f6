import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CHART, type Manifest, RELEASE, valuesFiles } from '../render.ts'
import { type Cluster, helms, openNamespace } from './cluster.ts'

const TDX_POOL = { 'nodepool-label': 'tdx-vm-pool' }
const TDX_VALUES = join(CHART, 'examples', 'tdx_values.yaml')
const SETTLED_MS = 120_000
// Their objects need custom resources that a cluster may lack, or a newer Kubernetes than it has.
const NEEDS_MORE = /keda|gateway|image-volume|monitoring/

// What a real API server, scheduler and controllers make of the chart, along the article's road.
describe.each(helms)('installed with %s', (program) => {
  let cluster: Cluster
  let nodes: Map<string, Record<string, string>>
  beforeAll(async () => {
    cluster = await openNamespace(program)
    nodes = new Map((await cluster.list('nodes')).map(({ metadata }) => [metadata.name, metadata.labels]))
  })
  afterAll(() => cluster.remove())

  const helm = (...args: string[]) => cluster.helm(...args)
  const upgrade = (...args: string[]) => helm('upgrade', RELEASE, CHART, '--wait', '--timeout=3m', ...args)

  /** Pods of the release that are not on their way out, once there are as many as expected. */
  async function pods(count: number): Promise<Manifest[]> {
    const deadline = Date.now() + SETTLED_MS
    for (;;) {
      const found = (await cluster.list('pods')).filter(
        ({ metadata }) =>
          !metadata.deletionTimestamp && metadata.labels['app.kubernetes.io/component'] !== 'test',
      )
      if (found.length === count && found.every(isReady)) return found
      if (Date.now() > deadline)
        throw new Error(
          `${found.length} pods, ${found.filter(isReady).length} of them ready; ${count} were expected`,
        )
      await sleep(500)
    }
  }

  const password = async () => (await cluster.get('secret', `${RELEASE}-redis`)).data['redis-password']
  const generations = async () => {
    const objects = [...(await cluster.list('deployments')), ...(await cluster.list('statefulsets'))]
    return Object.fromEntries(objects.map(({ metadata }) => [metadata.name, metadata.generation]))
  }
  const onTdx = (found: Manifest[]) =>
    found.map(({ spec }) => nodes.get(spec.nodeName)?.['nodepool-label'] === TDX_POOL['nodepool-label'])

  it('has a node of the TDX pool to move to', () => {
    expect([...nodes.values()]).toContainEqual(expect.objectContaining(TDX_POOL))
  })

  it('becomes ready in a namespace that enforces Pod Security restricted, under the names of the article', async () => {
    await helm('install', RELEASE, CHART, '--wait', '--timeout=3m')
    const names = (await pods(4)).map(({ metadata }) => metadata.name).sort()
    expect(names).toEqual([
      expect.stringMatching(/^stable-diffusion-ipex-[0-9a-f]+-\w{5}$/),
      'stable-diffusion-ipex-redis-0',
      expect.stringMatching(/^stable-diffusion-ipex-webui-[0-9a-f]+-\w{5}$/),
      expect.stringMatching(/^stable-diffusion-ipex-worker-[0-9a-f]+-\w{5}$/),
    ])
    const services = await cluster.list('services')
    expect(services.map(({ metadata, spec }) => `${metadata.name}:${spec.ports[0].port}`).sort()).toEqual([
      `${RELEASE}-redis:6379`,
      `${RELEASE}-webui:5001`,
      `${RELEASE}:5000`,
    ])
    for (const { endpoints, metadata } of await cluster.list('endpointslices'))
      expect(endpoints, metadata.name).toHaveLength(1)
    const worker = (await pods(4)).find(({ metadata }) => metadata.name.includes('-worker-'))
    expect(worker.status.qosClass).toBe('Guaranteed')
  })

  it('keeps the password and restarts nothing when it is upgraded to the same', async () => {
    const before = [await password(), await generations()]
    await upgrade()
    expect([await password(), await generations()]).toEqual(before)
    expect(Buffer.from(before[0] as string, 'base64').toString()).toMatch(/^[A-Za-z0-9]{32}$/)
  })

  it('moves every pod to the TDX pool by the three lines of the article', async () => {
    expect(await readFile(TDX_VALUES, 'utf8')).toBe('nodeSelector:\n  nodepool-label: tdx-vm-pool\n')
    await upgrade('--values', TDX_VALUES)
    expect(onTdx(await pods(4))).toEqual([true, true, true, true])
  })

  it('comes back when it is rolled back', async () => {
    await helm('rollback', RELEASE, '2', '--wait', '--timeout=3m')
    for (const { spec } of await pods(4)) expect(spec.nodeSelector).toBeUndefined()
  })

  it('scales, and lets one worker at a time be evicted', async () => {
    await upgrade('--set', 'worker.replicas=3')
    const workers = (await pods(6)).filter(({ metadata }) => metadata.name.includes('-worker-'))
    expect(workers).toHaveLength(3)
    const [budget] = await cluster.list('poddisruptionbudgets')
    expect(budget.metadata.name).toBe(`${RELEASE}-worker`)
    expect(budget.status).toMatchObject({ currentHealthy: 3, disruptionsAllowed: 1 })
    await upgrade('--set', 'worker.replicas=1')
    await pods(4)
  })

  it('moves to TDX by the toggle, and takes redis off the disk', async () => {
    await upgrade('--set', 'redis.persistence.enabled=true,redis.persistence.size=1Gi')
    await pods(4)
    expect((await cluster.list('persistentvolumeclaims')).map(({ status }) => status.phase)).toEqual([
      'Bound',
    ])
    await upgrade('--set', 'tdx.enabled=true,redis.persistence.enabled=true')
    expect(onTdx(await pods(4))).toEqual([true, true, true, true])
    const deadline = Date.now() + SETTLED_MS
    while ((await cluster.list('persistentvolumeclaims')).length > 0 && Date.now() < deadline)
      await sleep(500)
    expect(await cluster.list('persistentvolumeclaims')).toEqual([])
  })

  it('passes helm test', async () => {
    expect(await helm('test', RELEASE, '--timeout=5m')).toMatch(/Phase:\s+Succeeded/)
  })

  it('is refused with a reason where a check fails', async () => {
    await expect(upgrade('--set', 'model.source=hub')).rejects.toThrow(/model\.hub\.repository is empty/)
  })

  const scenarios = valuesFiles('ci').filter(({ name }) => !NEEDS_MORE.test(name))
  it.each(scenarios)('has nothing in $name that the API server refuses', async ({ name, file }) => {
    const release = `try-${basename(file, '-values.yaml')}`
    const version = ['--kube-version', await cluster.version()]
    // A pod is judged with its service account, which a dry run does not make.
    const noPods = ['--set', 'tests.enabled=false']
    const objects = await helm('template', release, CHART, '--values', file, ...version, ...noPods)
    const warnings = await cluster.judge(objects)
    if (name === 'ci/host-path-values.yaml')
      expect(warnings).toMatch(/would violate PodSecurity "restricted:latest": .*hostPath/)
    else expect(warnings).toBe('')
  })

  it('leaves nothing behind when it is uninstalled', async () => {
    await helm('uninstall', RELEASE, '--wait', '--timeout=3m')
    const kinds =
      'deployments,statefulsets,services,secrets,configmaps,serviceaccounts,networkpolicies,poddisruptionbudgets'
    const left = (await cluster.list(kinds)).map(({ kind, metadata }) => `${kind}/${metadata.name}`)
    // These are the namespace's own.
    expect(left.sort()).toEqual(['ConfigMap/kube-root-ca.crt', 'ServiceAccount/default'])
  })
})

const isReady = ({ status }: Manifest) =>
  (status.conditions ?? []).some(({ type, status }: Manifest) => type === 'Ready' && status === 'True')
