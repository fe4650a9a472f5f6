/** What is read of an event in ONNX Runtime's profile; `ts` and `dur` are microseconds. */
type ProfileEvent = {
  cat: string
  name: string
  ts: number
  dur: number
  args?: { op_name?: string; input_type_shape?: Shape[]; output_type_shape?: Shape[] }
}
type Shape = Record<string, number[]>

/** One run of one kernel. */
export type KernelRun = { op: string; us: number; inputs: number[][]; outputs: number[][] }

/** Runs of one graph: kernels in order, and the time of the runs as a whole. */
export type GraphProfile = { kernels: KernelRun[]; totalUs: number }

/**
 * Reads a profile that ONNX Runtime wrote. `lastRunOnly` leaves out all runs but the last: the first touches memory
 * for the first time.
 */
export function readProfile(json: string, { lastRunOnly = false } = {}): GraphProfile {
  const events = JSON.parse(json) as ProfileEvent[]
  const runs = events.filter(({ cat, name }) => cat === 'Session' && name === 'model_run')
  const counted = lastRunOnly ? runs.slice(-1) : runs
  const since = counted[0]?.ts ?? 0
  const kernels = events.filter(
    ({ cat, name, ts, args }) =>
      cat === 'Node' && name.endsWith('_kernel_time') && ts >= since && !RUNS_OTHERS.has(args!.op_name!),
  )
  return {
    totalUs: counted.reduce((sum, { dur }) => sum + dur, 0),
    kernels: kernels.map(({ args, dur }) => ({
      op: args!.op_name!,
      us: dur,
      inputs: dimensions(args!.input_type_shape),
      outputs: dimensions(args!.output_type_shape),
    })),
  }
}

// The kernels that run inside these are listed, too; their own part counts as the executor's.
const RUNS_OTHERS = new Set(['If', 'Loop', 'Scan'])

const dimensions = (shapes: Shape[] = []) => shapes.map((shape) => Object.values(shape)[0]!)

const volume = (dims: number[]) => dims.reduce((a, b) => a * b, 1)

// The product's inner dimension is the last of the first input.
const PRODUCTS = new Set([
  'MatMul',
  'FusedMatMul',
  'Gemm',
  'FusedGemm',
  'MatMulInteger',
  'MatMulIntegerToFloat',
  'DynamicQuantizeMatMul',
])
const CONVOLUTIONS = new Set(['Conv', 'FusedConv'])

/**
 * Multiply-adds of one kernel run; 0 for kernels that do not multiply matrices. The profile leaves weights out that the
 * kernel repacked, so a product's size is told by its first input and its output.
 * @throws where a convolution's weights are left out
 */
export function countMacs({ op, inputs, outputs }: KernelRun): number {
  if (PRODUCTS.has(op)) return volume(outputs[0]!) * inputs[0]!.at(-1)!
  if (CONVOLUTIONS.has(op)) {
    const weights = inputs[1] // [outputs, inputs, height, width]
    if (weights?.length !== 4)
      throw new Error(
        `the profile does not tell the shape of a ${op}'s weights, only [${inputs.join('], [')}]`,
      )
    return volume(outputs[0]!) * volume(weights.slice(1))
  }
  if (op === 'MultiHeadAttention') {
    const [queries, keys] = inputs // [batch, tokens, width] each: scores and their sums of values
    return 2 * volume(queries!) * keys![1]!
  }
  return 0
}

// Kernels of ONNX Runtime 1.30's CPU provider that never ask for the thread pool, by their source; Transpose by its CPU time
// with two threads. Reshape copies where its result leaves a graph or the body of a Scan, and takes no time elsewhere.
const ONE_THREAD = new Set([
  'Cast',
  'Concat',
  'InstanceNormalization',
  'Pad',
  'Reshape',
  'Slice',
  'Split',
  'Transpose',
])
// MatMulIntegerToFloat with a scale a row multiplies its result by it on one thread; the profile does not show that part
// by itself. Measured: 1.2 ms for 256 x 10240 values.
const ROW_SCALE_NS = 0.46

/** Microseconds of a kernel run that one thread has to do alone, whatever the pool. */
export function oneThreadUs({ op, us, inputs, outputs }: KernelRun): number {
  const [first, ...others] = inputs
  if (ONE_THREAD.has(op)) return us
  // To channels-first it uses the pool, to channels-last (rows and columns come second and third) it does not.
  const isChannelsLast = outputs[0]![1] === first![2] && outputs[0]![2] === first![3]
  if (op === 'ReorderOutput') return isChannelsLast ? us : 0
  // With a scale a row it calls the parallel quantiser once a row, on too little work to share.
  if (op === 'QuantizeLinear') return others.some((dims) => volume(dims) > 1) ? us : 0
  // A scale a row is a column; the weights' scales, one a column, are a row.
  const isScaledByRow = others.some((dims) => dims.at(-1) === 1 && volume(dims) > 1)
  if (op === 'MatMulIntegerToFloat' && isScaledByRow)
    return Math.min(us, (volume(outputs[0]!) * ROW_SCALE_NS) / 1000)
  return 0
}

export type KernelShare = { op: string; runs: number; share: number; oneThreadShare: number }

export type ProfileSummary = {
  totalUs: number
  gmac: number
  /** Time between kernels, which one thread spends: the executor's own. */
  executorShare: number
  /** Share of the time in kernels, or parts of kernels, that run on one thread. */
  oneThreadShare: number
  /** One a kernel type, the longest first. */
  kernels: KernelShare[]
}

/** Sums profiles up by kernel type; shares are of the whole time of the runs, measured at one thread. */
export function summarizeProfiles(profiles: GraphProfile[]): ProfileSummary {
  const totalUs = profiles.reduce((sum, profile) => sum + profile.totalUs, 0)
  const runs = profiles.flatMap((profile) => profile.kernels)
  const sum = (of: KernelRun[], value: (run: KernelRun) => number) =>
    of.reduce((total, run) => total + value(run), 0)
  const kernels = [...Map.groupBy(runs, ({ op }) => op)].map(([op, group]) => ({
    op,
    runs: group.length,
    share: sum(group, ({ us }) => us) / totalUs,
    oneThreadShare: sum(group, oneThreadUs) / totalUs,
  }))
  return {
    totalUs,
    gmac: sum(runs, countMacs) / 1e9,
    executorShare: 1 - sum(runs, ({ us }) => us) / totalUs,
    oneThreadShare: sum(runs, oneThreadUs) / totalUs,
    kernels: kernels.toSorted((a, b) => b.share - a.share),
  }
}

/** How many times faster `cores` cores are than one, where `serialShare` of one core's time cannot be shared (Amdahl 1967). */
export function speedUp(serialShare: number, cores: number): number {
  return 1 / (serialShare + (1 - serialShare) / cores)
}
