// Draws one picture through each service and looks at it: `helm test`.
const urls = process.env.BASE_URLS.split(' ')
const timeoutMs = Number(process.env.TIMEOUT_SECONDS) * 1000
const key = process.env.API_KEY
const authorization = key ? { authorization: `Bearer ${key}` } : {}
const PNG = '89504e470d0a1a0a'

for (const url of urls) await draw(`${url}/api/v1/images`)

async function draw(images) {
  const deadline = Date.now() + timeoutMs
  const body = JSON.stringify({ prompt: 'a panda on a blue background', size: '256x256', seed: 7 })
  const headers = { 'content-type': 'application/json' }
  const { id } = await call(images, { method: 'POST', headers, body })
  for (;;) {
    const { status } = await call(`${images}/${id}`)
    if (status === 'succeeded') break
    if (status === 'failed' || status === 'canceled') throw new Error(`${images}/${id} is ${status}`)
    if (Date.now() > deadline) throw new Error(`${images}/${id} is still ${status} after ${timeoutMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
  const answer = await fetch(`${images}/${id}/0.png`, { headers: authorization })
  const bytes = Buffer.from(await answer.arrayBuffer())
  if (!answer.ok || bytes.toString('hex', 0, 8) !== PNG)
    throw new Error(`${images}/${id}/0.png answers ${answer.status} and is no PNG`)
  const size = `${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}`
  if (size !== '256x256') throw new Error(`the picture is ${size}; 256x256 was asked for`)
  console.log(`${images}: a picture of ${size}, ${bytes.length} bytes`)
}

async function call(url, { headers, ...init } = {}) {
  const answer = await fetch(url, { ...init, headers: { ...headers, ...authorization } })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}: ${text}`)
  return JSON.parse(text)
}
