import { DockerfileParser, type Instruction, type ModifiableInstruction } from 'dockerfile-ast'

/** One instruction; `text` is all after its keyword and its flags. */
export type Step = { keyword: string; flags: string[]; args: string[]; text: string }
export type Stage = { from: string; name?: string; steps: Step[] }
export type Parsed = { args: Record<string, string>; stages: Stage[] }

// Without a digest a tag must name the version down to the patch, so that a rebuild does not change it silently.
const FULL_VERSION = /:\d+\.\d+\.\d+(-[\w.-]+)?$/
const DIGEST = /@sha256:[0-9a-f]{64}$/
const SECRET_NAME = /TOKEN|PASSWORD|SECRET|PRIVATE_KEY/
const LABELS = ['title', 'description', 'licenses', 'version', 'revision', 'base.name']

/** Reads a Dockerfile into its stages; `args` are those before the first one. */
export function parseDockerfile(source: string): Parsed {
  const steps = DockerfileParser.parse(source).getInstructions().map(toStep)
  const args: Record<string, string> = {}
  const stages: Stage[] = []
  for (const step of steps) {
    if (step.keyword === 'FROM') stages.push({ from: step.args[0]!, name: step.args[2], steps: [] })
    else if (stages.length > 0) stages.at(-1)!.steps.push(step)
    else args[step.args[0]!.split('=')[0]!] = step.args[0]!.split('=').slice(1).join('=')
  }
  return { args, stages }
}

function toStep(instruction: Instruction): Step {
  const flags = (instruction as Partial<ModifiableInstruction>).getFlags?.().map(String) ?? []
  return {
    keyword: instruction.getKeyword(),
    flags,
    args: instruction.getArguments().map(String),
    text: instruction.getArgumentsContent() ?? '',
  }
}

/** The stage that a COPY takes from, where it does not take from the context. */
export function readSourceStage({ flags }: Step): string | undefined {
  return flags.flatMap((flag) => /^--from=(.+)$/.exec(flag)?.[1] ?? [])[0]
}

/** The strings of a step in JSON form, such as those of `CMD ["node", "main.ts"]`. */
export function readJson(step: Step): string[] {
  return JSON.parse(step.text.slice(step.text.indexOf('[')))
}

/** Says whether an image is named so that it stays the same. */
export function isPinned(image: string): boolean {
  return DIGEST.test(image) || FULL_VERSION.test(image)
}

/** Lists what would make an image bigger, weaker or different from build to build. */
export function findFaults({ args, stages }: Parsed): string[] {
  const names = stages.flatMap(({ name }) => name ?? [])
  const steps = stages.flatMap((stage) => stage.steps)
  return [
    ...stages.flatMap(({ from }) => judgeBase(from, { args, names })),
    ...steps.flatMap((step) => judgeStep(step, names)),
    ...judgeFinal(stages.at(-1)!),
  ]
}

function judgeBase(
  from: string,
  { args, names }: { args: Record<string, string>; names: string[] },
): string[] {
  const image = from.replace(/\$\{?(\w+)\}?/, (_, name) => args[name] ?? '')
  if (image === 'scratch' || names.includes(image) || isPinned(image)) return []
  return [`FROM ${from} is "${image}": name it by digest or by its full version`]
}

function judgeStep(step: Step, stages: string[]): string[] {
  const { keyword, args, text } = step
  const source = readSourceStage(step)
  const variable = args[0]?.split('=')[0] ?? ''
  const isCommand = ['CMD', 'ENTRYPOINT'].includes(keyword)
  return [
    keyword === 'ADD' && 'ADD unpacks and downloads unasked; use COPY',
    keyword === 'MAINTAINER' && 'MAINTAINER is gone; use a label',
    keyword === 'WORKDIR' && !text.startsWith('/') && `WORKDIR ${text} depends on the one before`,
    keyword === 'COPY' && source && !stages.includes(source) && `COPY --from=${source} names no stage`,
    keyword === 'COPY' && args[0] === '.' && 'COPY . takes whatever lies about',
    keyword === 'RUN' && /\bsudo\b/.test(text) && 'RUN has sudo; it is root already',
    keyword === 'RUN' && /\b(curl|wget)\b/.test(text) && 'RUN downloads what no lockfile names',
    keyword === 'RUN' && /\bapt(-get)?\b/.test(text) && 'RUN installs what no lockfile names',
    keyword === 'RUN' && /npm install --global (?!.*@\d+\.\d+\.\d+)/.test(text) && 'RUN installs any version',
    keyword === 'RUN' &&
      /pnpm install (?!.*--frozen-lockfile)/.test(text) &&
      'RUN installs past the lockfile',
    ['ARG', 'ENV'].includes(keyword) && SECRET_NAME.test(variable) && `${variable} would stay in the image`,
    isCommand &&
      !text.startsWith('[') &&
      `${keyword} needs a shell, which would also keep signals from the app`,
  ].filter((fault) => typeof fault === 'string')
}

/** What is shipped: built elsewhere, run by somebody who is not root, and able to tell how it is. */
function judgeFinal({ from, steps }: Stage): string[] {
  const last = (keyword: string) => steps.findLast((step) => step.keyword === keyword)
  const user = last('USER')?.text ?? 'root'
  const healthcheck = last('HEALTHCHECK')
  const labels = steps.filter(({ keyword }) => keyword === 'LABEL').map(({ text }) => text)
  return [
    from !== 'scratch' && `the final stage starts from ${from}, with all that is in it`,
    steps.some(({ keyword }) => keyword === 'RUN') &&
      'the final stage runs something; build in a stage before',
    // By number, because Kubernetes cannot tell of a name that it is not root.
    !/^[1-9]\d*:[1-9]\d*$/.test(user) && `USER is ${user}; it must be two numbers above 0`,
    !/^CMD \[/.test(healthcheck?.text ?? '') && 'there is no HEALTHCHECK that works without a shell',
    !last('EXPOSE') && 'there is no EXPOSE',
    !last('CMD') && 'there is no CMD',
    ...LABELS.map((name) => {
      const label = `org.opencontainers.image.${name}`
      return !labels.some((text) => text.includes(`${label}=`)) && `there is no label ${label}`
    }),
  ].filter((fault) => typeof fault === 'string')
}
