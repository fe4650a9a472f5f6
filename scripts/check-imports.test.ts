import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkImports, findImports, judgeImport } from './check-imports.ts'

describe('findImports', () => {
  it.each([
    ["import { z } from 'zod'", ['zod']],
    ["import 'side-effect'", ['side-effect']],
    ["import type { A } from './a.ts'", ['./a.ts']],
    ["export { a } from '../a.ts'", ['../a.ts']],
    ["import {\n  a,\n  b,\n} from '@sdcpu/contract'", ['@sdcpu/contract']],
    ["const a = await import('node:fs')", ['node:fs']],
    ["// its own\nconst a = 'from'; const b = `import 'x' from 'y'`", []],
    ["export const a = 'zod'", []],
  ])('reads %j', (source, imports) => {
    expect(findImports('a.ts', source)).toEqual(imports)
  })
})

describe('judgeImport', () => {
  it('lets the worker know the engine, and the API not', () => {
    expect(judgeImport('apps/worker', 'apps/worker/src/main.ts', '@sdcpu/diffusion')).toBeUndefined()
    expect(judgeImport('apps/api', 'apps/api/src/main.ts', '@sdcpu/diffusion')).toContain('must not know')
  })

  it('stops an app from importing an app, by name or by path', () => {
    expect(judgeImport('apps/web', 'apps/web/src/main.ts', '@sdcpu/api')).toContain('must not know')
    expect(judgeImport('apps/web', 'apps/web/src/main.ts', '../../api/src/app.ts')).toContain('reaches out')
  })

  it('keeps the contract to zod, its tests apart', () => {
    expect(judgeImport('packages/contract', 'packages/contract/src/a.ts', 'zod')).toBeUndefined()
    expect(judgeImport('packages/contract', 'packages/contract/src/a.ts', 'node:fs')).toContain(
      'nothing but zod',
    )
    expect(judgeImport('packages/contract', 'packages/contract/src/a.test.ts', 'vitest')).toBeUndefined()
  })

  it('keeps Redis and HTTP out of the diffusion package', () => {
    expect(judgeImport('packages/diffusion', 'packages/diffusion/src/a.ts', 'ioredis')).toContain(
      'must not know',
    )
    expect(
      judgeImport('packages/diffusion', 'packages/diffusion/src/a.ts', 'onnxruntime-node'),
    ).toBeUndefined()
  })

  it('asks for a rule for a new package', () => {
    expect(judgeImport('packages/new', 'packages/new/src/a.ts', 'zod')).toContain('has no rule')
  })
})

describe('checkImports', () => {
  it('finds nothing in this repository', () => {
    expect(checkImports(join(import.meta.dirname, '..'))).toEqual([])
  })
})
