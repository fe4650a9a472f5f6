const LEVELS: Record<number, string> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warning',
  50: 'error',
  60: 'fatal',
}
const WARNING = 40

/** Shortens a JSON log line to what a person reads; a line that is no JSON, such as a crash's trace, stays as it is. */
export function readableLine(line: string): { text: string; isFault: boolean } {
  const entry = parse(line)
  if (entry === undefined) return { text: line, isFault: line.trim() !== '' }
  const parts = [LEVELS[entry.level] ?? entry.level, entry.msg, entry.err?.message].filter(Boolean)
  const text = [...new Set(parts)].join(': ')
  return { text, isFault: entry.level >= WARNING }
}

function parse(line: string): { level: number; msg?: string; err?: { message?: string } } | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const entry = JSON.parse(line)
    return typeof entry.level === 'number' ? entry : undefined
  } catch {
    return undefined
  }
}
