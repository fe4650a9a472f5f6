import { describe, expect, it } from 'vitest'
import { find, KUBERNETES, type Manifest, RELEASE, render } from './render.ts'
import { openSchemas } from './schemas.ts'

// Every scenario is held against them in render.test.ts; here it is shown that they would find a fault.
describe.each(KUBERNETES)('the schemas of Kubernetes %s', (kubernetes) => {
  const faultsOf = openSchemas(kubernetes)
  const broken = async (kind: string, name: string, change: (object: Manifest) => void) => {
    const object = structuredClone(find(await render(), kind, name))
    expect(faultsOf(object)).toEqual([])
    change(object)
    return faultsOf(object).join('\n')
  }

  it('find a field that does not exist', async () => {
    const faults = await broken('Deployment', RELEASE, ({ spec }) => {
      spec.template.spec.containers[0].imagee = 'x'
    })
    expect(faults).toMatch(
      /containers\/0 must NOT have additional properties {"additionalProperty":"imagee"}/,
    )
  })

  it('find a value of another type, and one that is missing', async () => {
    expect(await broken('Deployment', RELEASE, ({ spec }) => (spec.replicas = '1'))).toMatch(
      /\/spec\/replicas must be integer/,
    )
    expect(await broken('Service', RELEASE, ({ spec }) => delete spec.ports[0].port)).toMatch(
      /must have required property 'port'/,
    )
  })

  it('find a version that was removed', async () => {
    expect(faultsOf({ apiVersion: 'policy/v1beta1', kind: 'PodDisruptionBudget' })).toHaveLength(1)
  })
})

it('knows the image volumes of newer versions only', async () => {
  const [deployment] = (await render())
    .filter(({ metadata }) => metadata.name === `${RELEASE}-worker`)
    .slice(-1)
  deployment.spec.template.spec.volumes.push({ name: 'x', image: { reference: 'x', pullPolicy: 'Always' } })
  expect(openSchemas('1.27.0')(deployment).join()).toMatch(/"additionalProperty":"image"/)
  expect(openSchemas('1.35.0')(deployment)).toEqual([])
})

it('closes the custom resources too', () => {
  const scaled = {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    metadata: {},
    spec: { scaleTargetRef: { name: 'x' }, triggers: [], minReplicas: 1 },
  }
  expect(openSchemas('1.31.0')(scaled).join()).toMatch(/"additionalProperty":"minReplicas"/)
})
