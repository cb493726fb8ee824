import { isUtf8 } from 'node:buffer'
import { ChildScanner } from './child-scanner.ts'
import { type Refusal, refuse } from './refusal.ts'

/** A request body that is a JSON object, read as the provider will read it. */
export interface JsonBody {
  readonly kind: 'json'
  readonly bytes: Buffer
  readonly fields: Readonly<Record<string, unknown>>
}

/** The fields that decide something here. Each may stand once only: the provider might read the other. */
const fieldsRead = ['model', 'models', 'stream', 'stream_options', 'prompt', 'tools'] as const

const needles = [...fieldsRead, 'include_usage'].map((field) => Buffer.from(`"${field}"`))
// An escape can spell a name's letters another way; all of ours are below U+0100.
const asciiEscape = Buffer.from('\\u00')

/** Parses a body once. `invalid_json`, or `invalid_request` naming a field that we read and that occurs twice. */
export function parseJsonBody(bytes: Buffer): JsonBody | Refusal {
  // What is no UTF-8 is no JSON (RFC 8259, section 8.1), and every decoder mends it in its own way.
  if (!isUtf8(bytes)) return refuse('invalid_json')
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    return refuse('invalid_json')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse('invalid_json', { message: 'The body must be a JSON object.' })
  }
  const body: JsonBody = { kind: 'json', bytes, fields: value as Readonly<Record<string, unknown>> }
  const otherCase = Object.keys(body.fields).find((name) => isOtherSpelling(name, fieldsRead))
  if (otherCase !== undefined) {
    return refuse('invalid_request', {
      param: otherCase,
      message: 'A field differs from one that is read here only in upper and lower case.',
    })
  }
  if (!mayRepeat(body)) return body
  const field = repeatedField(body)
  return field === null
    ? body
    : refuse('invalid_request', { param: field, message: `The field ${field} occurs twice.` })
}

const longestRead = Math.max(...fieldsRead.map((name) => name.length))

/** Whether a provider that ignores case (whatever is built on Go's encoding/json does) would take `name` for one of `names`. */
function isOtherSpelling(name: string, names: readonly string[]): boolean {
  if (name.length > longestRead || names.includes(name)) return false
  // Upper case first: "ſ" is another spelling of "s" that has no lower case of its own.
  return names.includes(name.toUpperCase().toLowerCase())
}

/** Whether a look at the bytes leaves it open that a field occurs twice. Almost always it does not. */
function mayRepeat({ bytes, fields }: JsonBody): boolean {
  if (bytes.includes(asciiEscape)) return true
  if (Array.isArray(fields.tools)) return true
  return needles.some((needle) => {
    const first = bytes.indexOf(needle)
    return first !== -1 && bytes.indexOf(needle, first + needle.length) !== -1
  })
}

function repeatedField({ bytes }: JsonBody): string | null {
  const seen = new Map<string, Buffer>()
  for (const child of childrenOf(bytes)) {
    if (child.name === null || !(fieldsRead as readonly string[]).includes(child.name)) continue
    if (seen.has(child.name)) return child.name
    seen.set(child.name, child.value)
  }
  const options = seen.get('stream_options')
  if (options !== undefined && repeats(options, ['include_usage'])) return 'stream_options.include_usage'
  const tools = seen.get('tools')
  if (tools === undefined || tools[0] !== 0x5b) return null
  const index = childrenOf(tools).findIndex((tool) => repeats(tool.value, ['model', 'type']))
  return index === -1 ? null : `tools[${index}]`
}

function repeats(object: Buffer, names: readonly string[]): boolean {
  if (object[0] !== 0x7b) return false
  const found = childrenOf(object).flatMap(({ name }) => (name === null ? [] : [name]))
  if (found.some((name) => isOtherSpelling(name, names))) return true
  const read = found.filter((name) => names.includes(name))
  return new Set(read).size !== read.length
}

interface ChildSlice {
  readonly name: string | null
  readonly start: number
  readonly end: number
  readonly value: Buffer
}

/** The members or elements of the JSON object or array that `bytes` spells. */
export function childrenOf(bytes: Buffer): readonly ChildSlice[] {
  const children: ChildSlice[] = []
  new ChildScanner(({ name, start, end }) => {
    children.push({ name, start, end, value: bytes.subarray(start, end) })
  }).push(bytes)
  return children
}
