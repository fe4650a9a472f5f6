import { type CSSProperties, memo, useMemo } from 'react'

const COLUMNS = 30
const ROWS = 20
const PITCH = 10 // units of the drawing between two dots
const MAX_RADIUS = 4.6

/** A landscape in dots, as printed halftone; it comes out of noise when the page opens. */
export const Landscape = memo(function Landscape() {
  const dots = useMemo(
    () =>
      gridOf({ columns: COLUMNS, rows: ROWS, seed: 0, shadeOf: (x, y) => landscape(x / COLUMNS, y / ROWS) }),
    [],
  )
  return (
    <svg className="landscape" viewBox={`0 0 ${COLUMNS * PITCH} ${ROWS * PITCH}`} aria-hidden="true">
      {dots.map(({ key, x, y, value, noise, isSun }) => (
        <circle
          key={key}
          className={isSun ? 'sun' : undefined}
          cx={x}
          cy={y}
          r={MAX_RADIUS * value}
          style={{ '--noise': 0.25 + noise * 1.1, '--late': noise } as CSSProperties}
        />
      ))}
    </svg>
  )
})

const FIELD = 16

type NoiseFieldProps = {
  level: number
  /** Width of the picture by its height. */
  ratio: number
  seed: number
}

const evenly = () => ({ value: 1, isSun: false })

/** The noise a picture comes out of: dots of all sizes, more and more alike as `level` goes from 1 to 0. */
export const NoiseField = memo(function NoiseField({ level, ratio, seed }: NoiseFieldProps) {
  const columns = Math.max(8, Math.round(FIELD * Math.sqrt(ratio)))
  const rows = Math.max(8, Math.round(FIELD / Math.sqrt(ratio)))
  const dots = useMemo(() => gridOf({ columns, rows, seed, shadeOf: evenly }), [columns, rows, seed])
  // Two layers that flicker against each other: a few hundred dots that did so would cost the CPU that draws.
  const layers = [dots.filter(({ noise }) => noise < 0.5), dots.filter(({ noise }) => noise >= 0.5)]
  return layers.map((layer, index) => (
    <svg
      // biome-ignore lint/suspicious/noArrayIndexKey: the layers have no other identity and never change places
      key={index}
      className="noise"
      viewBox={`0 0 ${columns * PITCH} ${rows * PITCH}`}
      preserveAspectRatio="xMidYMid slice"
      aria-hidden="true"
    >
      {layer.map(({ key, x, y, noise }) => (
        <circle key={key} cx={x} cy={y} r={MAX_RADIUS * (0.35 + (noise - 0.35) * level)} />
      ))}
    </svg>
  ))
})

type Shade = { value: number; isSun: boolean }

type Grid = { columns: number; rows: number; seed: number; shadeOf: (x: number, y: number) => Shade }

function gridOf({ columns, rows, seed, shadeOf }: Grid) {
  return Array.from({ length: columns * rows }, (_, at) => {
    const [column, row] = [at % columns, Math.floor(at / columns)]
    return {
      key: at,
      x: (column + 0.5) * PITCH,
      y: (row + 0.5) * PITCH,
      noise: scatter(column + 1, row + 1, seed),
      ...shadeOf(column + 0.5, row + 0.5),
    }
  })
}

// Where four dots meet, so that the sun is round.
const SUN = { x: 20 / COLUMNS, y: 7 / ROWS }

/** How dark a point of the scene is, x and y from 0 to 1: a sun over two ranges of hills. */
function landscape(x: number, y: number): Shade {
  const sun = Math.hypot((x - SUN.x) * 1.5, y - SUN.y)
  const far = 0.62 - 0.2 * Math.exp(-(((x - 0.3) / 0.16) ** 2)) - 0.07 * Math.exp(-(((x - 0.86) / 0.12) ** 2))
  const near = 0.84 - 0.1 * Math.sin(x * 3.4 + 0.4)
  if (y > near) return { value: Math.min(1, 0.8 + (y - near) * 2), isSun: false }
  if (y > far) return { value: 0.36 + (y - far) * 1.1, isSun: false }
  if (sun < 0.185) return { value: 0.98, isSun: true }
  return { value: 0.13 + 0.2 * Math.max(0, 1 - sun * 1.6), isSun: false }
}

/** A number from 0 to 1 that looks like chance and is the same each time (the finaliser of MurmurHash3). */
function scatter(column: number, row: number, seed: number): number {
  let bits = (column * 0x9e3779b1) ^ (row * 0x85ebca77) ^ (seed * 0xc2b2ae3d)
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32
}
