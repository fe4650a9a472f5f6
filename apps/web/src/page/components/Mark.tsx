/** The page's sign: a picture half way out of its dots. */
export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      {DOTS.map(({ x, y, r }) => (
        <circle key={`${x} ${y}`} cx={x} cy={y} r={r} />
      ))}
    </svg>
  )
}

const STEPS = [7, 13, 19, 25]
const DOTS = STEPS.flatMap((y, row) =>
  STEPS.map((x, column) => ({ x, y, r: 0.9 + 0.42 * Math.min(row + column, 5) })),
)
