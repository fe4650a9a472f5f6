import { describe, expect, it } from 'vitest'
import { findFaults, parseDockerfile } from './dockerfile.ts'

const GOOD = `ARG BASE=docker.io/library/node:24.21.0-trixie-slim
FROM \${BASE} AS build
RUN pnpm install --frozen-lockfile --prod
FROM scratch
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
EXPOSE 5000
HEALTHCHECK --interval=15s CMD ["node", "healthcheck.ts"]
CMD ["main.ts"]
LABEL org.opencontainers.image.title="t" org.opencontainers.image.description="d" \\
      org.opencontainers.image.licenses="l" org.opencontainers.image.version="v" \\
      org.opencontainers.image.revision="r" org.opencontainers.image.base.name="b"
`

const judge = (source: string) => findFaults(parseDockerfile(source))

describe('findFaults', () => {
  it('has nothing to say of a good file', () => {
    expect(judge(GOOD)).toEqual([])
  })

  it.each([
    ['a tag without a patch', 'node:24.21.0-trixie-slim', 'node:24-slim', /full version/],
    ['no tag', 'node:24.21.0-trixie-slim', 'node', /full version/],
    ['the latest tag', 'node:24.21.0-trixie-slim', 'node:latest', /full version/],
    ['root', 'USER 10001:10001', 'USER 0:0', /USER is 0:0/],
    ['a user without a number', 'USER 10001:10001', 'USER node', /USER is node/],
    ['no user', 'USER 10001:10001\n', '', /USER is root/],
    ['a final stage with a distribution', 'FROM scratch', 'FROM node:24.21.0', /the final stage starts from/],
    ['a final stage that runs', 'WORKDIR /app', 'RUN ["node"]', /the final stage runs/],
    ['a command in a shell', 'CMD ["main.ts"]', 'CMD node main.ts', /CMD needs a shell/],
    ['a health check in a shell', 'CMD ["node", "healthcheck.ts"]', 'CMD curl localhost', /no HEALTHCHECK/],
    ['no health check', /HEALTHCHECK.*\n/, '', /no HEALTHCHECK/],
    ['an unfrozen lockfile', ' --frozen-lockfile', '', /past the lockfile/],
    ['an unpinned tool', 'pnpm install --frozen-lockfile', 'npm install --global pnpm', /any version/],
    ['a download', 'pnpm install --frozen-lockfile', 'curl https://example.com', /no lockfile names/],
    ['a distribution package', 'pnpm install --frozen-lockfile', 'apt-get install tini', /no lockfile names/],
    ['ADD', 'COPY --from=build /app', 'ADD x.tar', /use COPY/],
    ['a stage that is not there', '--from=build', '--from=builder', /names no stage/],
    ['everything', 'COPY --from=build /app /app', 'COPY . .', /whatever lies about/],
    ['a secret', 'WORKDIR /app', 'WORKDIR /app\nENV HF_TOKEN=x', /HF_TOKEN would stay/],
    ['a missing label', 'org.opencontainers.image.licenses="l"', '', /no label .*licenses/],
  ])('finds %s', (_, good, bad, fault) => {
    const source = GOOD.replace(good, bad)
    expect(source).not.toBe(GOOD)
    expect(judge(source)).toEqual(expect.arrayContaining([expect.stringMatching(fault)]))
  })
})
