// Checks who imports whom. The package manager stops an undeclared import, not one that was declared against the plan.
import { globSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, normalize, sep } from 'node:path'
import { parseSync } from 'oxc-parser'

const ROOT = join(import.meta.dirname, '..')
const SCOPE = '@sdcpu/'
const SERVICE_LIBRARIES = ['bullmq', 'fastify', 'ioredis', 'pino', 'undici']

type Rule = {
  /** Packages of ours that it may import. */
  ours: string[]
  /** Where set, the only other packages that it may import; tests may import more. */
  only?: string[]
  /** Other packages that it must not import. */
  never?: string[]
}

const RULES: Record<string, Rule> = {
  'apps/api': { ours: ['contract', 'pictures', 'redis', 'safety'], never: ['onnxruntime-node'] },
  'apps/web': { ours: ['contract'], never: ['bullmq', 'ioredis', 'onnxruntime-node'] },
  'apps/worker': { ours: ['contract', 'diffusion', 'model-compiler', 'pictures', 'redis', 'safety'] },
  'packages/contract': { ours: [], only: ['zod'] },
  'packages/diffusion': { ours: [], never: SERVICE_LIBRARIES },
  'packages/model-compiler': { ours: ['diffusion'], never: SERVICE_LIBRARIES },
  'packages/pictures': { ours: ['contract'], never: ['bullmq', 'fastify'] },
  'packages/safety': { ours: [], only: ['zod'] },
  'packages/redis': { ours: [], never: ['bullmq', 'fastify'] },
  bench: { ours: ['diffusion', 'model-compiler'] },
  e2e: { ours: [] },
  scripts: { ours: ['diffusion', 'model-compiler', 'redis'] },
}

// The browser tests start the product the way a person does, and find a browser the way `npm test` does. `npm run bench` is
// a script like all commands, and what it does is the bench's.
const REACHES: Record<string, string> = { e2e: 'scripts', scripts: 'bench' }

/** Lists what a file imports, types, re-exports and dynamic imports included. */
export function findImports(file: string, source: string): string[] {
  const { staticImports, staticExports, dynamicImports } = parseSync(file, source).module
  const fromExports = staticExports.flatMap(({ entries }) =>
    entries.map((entry) => entry.moduleRequest?.value),
  )
  const fromCalls = dynamicImports.map(({ moduleRequest: { start, end } }) =>
    literal(source.slice(start, end)),
  )
  const all = [...staticImports.map((entry) => entry.moduleRequest.value), ...fromExports, ...fromCalls]
  return [...new Set(all.filter((specifier) => specifier !== undefined))]
}

/** The text of a quoted string; nothing for an expression, which cannot be judged. */
const literal = (code: string): string | undefined => /^(['"])(.*)\1$/.exec(code)?.[2]

/** Says what is wrong with one import of `file`, a path from the root, or nothing. */
export function judgeImport(folder: string, file: string, specifier: string): string | undefined {
  const rule = RULES[folder]
  if (!rule) return `${folder} has no rule; add one to scripts/check-imports.ts`
  if (specifier.startsWith('.')) {
    const target = normalize(join(dirname(file), specifier))
    const isInside = [folder, REACHES[folder]].some(
      (reached) => reached && `${target}${sep}`.startsWith(reached + sep),
    )
    return isInside ? undefined : `reaches out of ${folder}; import the package by its name`
  }
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  if (name.startsWith(SCOPE)) {
    return rule.ours.includes(name.slice(SCOPE.length)) ? undefined : `${folder} must not know ${name}`
  }
  if (rule.never?.includes(name)) return `${folder} must not know ${name}`
  const isTest = /\.test\.tsx?$/.test(file)
  if (rule.only && !rule.only.includes(name) && !isTest) {
    return `${folder} imports nothing but ${rule.only.join(', ')}${isBuiltin(specifier) ? ': it also runs in browsers' : ''}`
  }
  return undefined
}

/** Judges every import of every workspace package below `root`. */
export function checkImports(root: string): string[] {
  const folders = globSync(['*/package.json', '*/*/package.json'], { cwd: root, exclude: isNotOurs }).map(
    dirname,
  )
  return folders.flatMap((folder) => {
    const files = globSync(`${folder}/**/*.{ts,tsx,mts}`, { cwd: root, exclude: isNotOurs })
    return files.flatMap((file) =>
      findImports(file, readFileSync(join(root, file), 'utf8')).flatMap((specifier) => {
        const fault = judgeImport(folder, file, specifier)
        return fault ? [`${file}: '${specifier}': ${fault}`] : []
      }),
    )
  })
}

const isNotOurs = (path: string) => /(^|[\\/])(node_modules|dist|\.[^\\/]+)$/.test(path)

if (import.meta.main) {
  const faults = checkImports(ROOT)
  for (const fault of faults) console.error(fault)
  console.log(
    faults.length === 0 ? 'Every import goes the right way.' : `${faults.length} imports go the wrong way.`,
  )
  process.exitCode = faults.length === 0 ? 0 : 1
}
