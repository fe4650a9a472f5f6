// Fuzzes the API by its own OpenAPI document with schemathesis, from PyPI in a virtual environment under .tools.
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createChildren, findProgram } from './child-processes.ts'
import { startService } from './service.ts'

const VERSION = '4.32.5'
const FOLDER = join(import.meta.dirname, '..', '.tools', `schemathesis-${VERSION}`)
const STAMP = join(FOLDER, '.installed')
// Whether what is not allowed is refused is the contract's tests' matter: the service reads numbers and headers leniently.
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
]
// These answer when their pictures are drawn, and the queue is full of what else is asked for.
const WAITING = '^/(sdapi/v1/(txt2img|img2img)|api/text2image)$'

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  const children = createChildren()
  const run = async (program: string, ...rest: string[]) =>
    (await children.start({ name: program, program, args: rest, env: process.env, inherit: true }).ended) ===
    'code 0'
  if (!existsSync(STAMP) && !(await install(run))) return 1
  const service = await startService({ workers: 1, env: { QUEUE_LIMIT: '100000', LOG_LEVEL: 'warn' } })
  try {
    const isClean = await run(
      join(FOLDER, 'bin', 'schemathesis'),
      ...['run', `${service.api}/openapi.json`, '--checks', CHECKS.join(',')],
      ...['--exclude-path-regex', WAITING],
      ...['--max-examples', '50', '--seed', '1', '--request-timeout', '70', '--continue-on-failure'],
      ...args,
    )
    return isClean ? 0 : 1
  } finally {
    await service.stop()
  }
}

async function install(run: (program: string, ...args: string[]) => Promise<boolean>): Promise<boolean> {
  const python = findProgram('python3')
  if (!python) {
    console.error('python3 is needed for schemathesis: install it (on Debian: apt-get install python3-venv).')
    return false
  }
  rmSync(FOLDER, { recursive: true, force: true })
  const isThere =
    (await run(python, '-m', 'venv', FOLDER)) &&
    (await run(join(FOLDER, 'bin', 'pip'), 'install', '--quiet', `schemathesis==${VERSION}`))
  // Last, so that an installation that was cut off is not taken for one.
  if (isThere) writeFileSync(STAMP, VERSION)
  return isThere
}
