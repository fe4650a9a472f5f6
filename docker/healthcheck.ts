// Asks the part that runs beside it whether it is well, and exits with 0 or 1: an image has no curl.
//   node docker/healthcheck.ts API_PORT 5000 /readyz
import { get } from 'node:http'

const TIMEOUT_MS = 4000 // shorter than the health check's own, so that the reason is printed

const [portName, usualPort, path] = process.argv.slice(2)
if (!portName || !usualPort || !path) fail('usage: healthcheck.ts PORT_NAME USUAL_PORT PATH')

// Not by `fetch`, which refuses some ports, 6000 among them.
const port = Number(process.env[portName] || usualPort)
get({ host: '127.0.0.1', port, path, signal: AbortSignal.timeout(TIMEOUT_MS) }, (response) => {
  if (response.statusCode === 200) process.exit(0)
  response.setEncoding('utf8')
  response.on('data', (body) => fail(`${path} of port ${port}: ${response.statusCode} ${body}`))
}).on('error', ({ message }) => fail(`${path} of port ${port}: ${message}`))

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}
