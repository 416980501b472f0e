/**
 * Change sections of config.yaml and leave the rest of the text alone, comments included; pure.
 * The app reads the file as YAML 1.1, where a bare `no` is a switch: every text is quoted.
 */
import * as YAML from 'yaml'

export type Sections = Record<string, unknown>
type Path = (string | number)[]

const READ = { version: '1.1' } as const
const WRITE = {
  defaultStringType: 'QUOTE_DOUBLE',
  defaultKeyType: 'PLAIN',
  flowCollectionPadding: false,
  lineWidth: 0,
} as const

/** What the text says. Throws when it is not YAML, or not a mapping. */
export function parse(text: string): Sections {
  const data = YAML.parse(text, READ) ?? {}
  if (!isRecord(data)) throw new Error('config.yaml is not a list of settings')
  return data
}

/** The text with `changes`: whole lists, and keys of groups (what is not named stays). */
export function rewrite(text: string, changes: Sections): string {
  const before = parse(text)
  const meant = { ...before }
  for (const [section, value] of Object.entries(changes)) {
    const old = before[section]
    meant[section] = isRecord(value)
      ? { ...(isRecord(old) ? old : {}), ...value }
      : value
  }
  if (equal(before, meant)) return text
  const document = YAML.parseDocument(text, READ)
  if (!YAML.isMap(document.contents))
    document.contents = document.createNode({}) as never
  for (const section of Object.keys(changes))
    put(document, [section], meant[section])
  const after = document.toString(WRITE)
  if (!equal(parse(after), meant))
    throw new Error(
      'config.yaml is written in a way that cannot be changed from here',
    )
  return after
}

function put(document: YAML.Document, path: Path, value: unknown): void {
  const node = document.getIn(path, true)
  if (YAML.isMap(node) && isRecord(value)) {
    for (const key of Object.keys(node.toJSON()))
      if (!(key in value)) document.deleteIn([...path, key])
    for (const [key, one] of Object.entries(value))
      put(document, [...path, key], one)
  } else if (YAML.isSeq(node) && Array.isArray(value)) {
    node.items = matched(document, node, value)
    value.forEach((one, at) => put(document, [...path, at], one))
  } else if (!YAML.isNode(node) || !equal(node.toJS(document), value)) {
    document.setIn(path, document.createNode(value))
  }
}

/** The item of the same name is kept, so that the comment beside it stays beside it. */
function matched(
  document: YAML.Document,
  list: YAML.YAMLSeq,
  wanted: unknown[],
): unknown[] {
  const known = new Map<unknown, unknown>()
  for (const item of list.items) known.set(nameOf(item), item)
  return wanted.map((one) => {
    const name = isRecord(one) ? one.name : one
    const item = known.get(name)
    known.delete(name)
    return item ?? document.createNode(one)
  })
}

const nameOf = (item: unknown) =>
  YAML.isMap(item)
    ? item.get('name')
    : YAML.isScalar(item)
      ? item.value
      : undefined

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function equal(left: unknown, right: unknown): boolean {
  if (Array.isArray(left) && Array.isArray(right))
    return (
      left.length === right.length &&
      left.every((one, at) => equal(one, right[at]))
    )
  if (isRecord(left) && isRecord(right)) {
    const keys = new Set([...Object.keys(left), ...Object.keys(right)])
    return [...keys].every((key) => equal(left[key], right[key]))
  }
  return left === right
}
