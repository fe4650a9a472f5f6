/** A value of a request that is out of its range, as the API's message tells it. */
export type Fault = { field: string; value: string; limit: string; isLeast: boolean }

const OUT_OF_RANGE = /^(\w+) is ([^;]+); the (least|limit(?: of the model .+)?) is ([^;]+)$/

/** Reads which value is out of which bounds from what the API says of an invalid request; nothing where it is another fault. */
export function readFault(message: string): Fault | undefined {
  const [, field, value, bound, limit] = OUT_OF_RANGE.exec(message) ?? []
  if (!field || !value || !limit) return undefined
  return { field, value, limit, isLeast: bound === 'least' }
}
