import { parse } from 'yaml'

export type Value = {
  /** Keys from the root, such as `['worker', 'cpu']`. */
  path: string[]
  description: string
  default: unknown
  /** What the comment adds to the schema that the default's type gives. */
  schema: Record<string, unknown>
}

const COMMENT = /^\s*# -- (.+)$/
const SCHEMA = /^\s*# @schema (.+)$/
const KEY = /^(\s*)([\w-]+):/

/**
 * Reads values.yaml with its comments: every value that is not a group, in order.
 * @throws when one has no comment, or a comment no value
 */
export function readValues(text: string): Value[] {
  const defaults = parse(text)
  const values: Value[] = []
  let path: { key: string; indent: number }[] = []
  let description: string | undefined
  let schema: Record<string, unknown> = {}
  for (const line of text.split('\n')) {
    description = COMMENT.exec(line)?.[1] ?? description
    const given = SCHEMA.exec(line)?.[1]
    if (given) schema = JSON.parse(given)
    const [, spaces, key] = KEY.exec(line) ?? []
    if (spaces === undefined || !key) continue
    path = [...path.filter(({ indent }) => indent < spaces.length), { key, indent: spaces.length }]
    const keys = path.map(({ key }) => key)
    if (values.some((value) => isBelow(keys, value.path))) continue // a part of a default
    const value = keys.reduce((object, key) => object[key], defaults)
    if (description === undefined) {
      if (!isGroup(value)) throw new Error(`${keys.join('.')} has no comment in values.yaml`)
      continue
    }
    values.push({ path: keys, description, default: value, schema })
    description = undefined
    schema = {}
  }
  return values
}

const isBelow = (keys: string[], path: string[]) =>
  keys.length > path.length && path.every((key, index) => keys[index] === key)

const isGroup = (value: unknown) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
