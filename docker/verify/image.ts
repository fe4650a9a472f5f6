import { execFileSync } from 'node:child_process'

/** What an image says about how it is run. */
export type Image = {
  /** Folder that its files lie in; ours alone, and thrown away afterwards. */
  root: string
  user: string
  env: Record<string, string>
  command: string[]
  workingDir: string
  healthcheck: string[]
  remove(): void
}

type Inspected = {
  Docker: {
    config: {
      User: string
      Env: string[]
      Entrypoint: string[]
      Cmd: string[]
      WorkingDir: string
      Healthcheck: { Test: string[] }
    }
  }
}

/** Unpacks an image of buildah's store. */
export function openImage(name: string): Image {
  const { config } = (JSON.parse(buildah('inspect', '--type', 'image', name)) as Inspected).Docker
  const container = buildah('from', '--pull-never', name)
  return {
    root: buildah('mount', container),
    user: config.User,
    env: Object.fromEntries(config.Env.map((pair) => pair.split(/=(.*)/s).slice(0, 2))),
    command: [...config.Entrypoint, ...config.Cmd],
    workingDir: config.WorkingDir,
    healthcheck: config.Healthcheck.Test.slice(1), // the first says CMD
    remove: () => void buildah('rm', container),
  }
}

/** Runs buildah and gives what it printed. */
export function buildah(...args: string[]): string {
  return execFileSync('buildah', args, { encoding: 'utf8' }).trim()
}
