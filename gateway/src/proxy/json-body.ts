import { isUtf8 } from 'node:buffer'
import { type JsonExtent, visitChildren } from './json-children.ts'
import { type Refusal, refuse } from './refusal.ts'
import { fieldSpelled, singleFields } from './single-fields.ts'

/** A request body that is a JSON object, read as the provider will read it. */
export interface JsonBody {
  readonly kind: 'json'
  readonly bytes: Buffer
  readonly fields: Readonly<Record<string, unknown>>
  /** The names in its text, at every depth: more than its fields have where one stands twice. */
  readonly names: number
}

/**
 * The most that a body may ask of the parser, which stops everything else meanwhile. The largest bodies of many values
 * are lists of tokens to embed, and providers take 300,000 tokens a request.
 */
const most: JsonExtent = { pieces: 500_000, depth: 1_000 }

/** What a value or name takes in memory, measured with those that take the most. */
const bytesPerPiece = 64

/**
 * Parses a body once. `claim` takes memory for its values beyond the size of their text, or says false. Refused:
 * `invalid_json`, `overloaded`, or `invalid_request` for what asks too much of a parser, or naming a field that we
 * read and that has two readings.
 */
export function parseJsonBody(
  bytes: Buffer,
  claim: (bytes: number) => boolean = () => true,
): JsonBody | Refusal {
  // What is no UTF-8 is no JSON (RFC 8259, section 8.1), and every decoder mends it in its own way.
  if (!isUtf8(bytes)) return refuse('invalid_json')
  const readings = new Readings(bytes)
  const extent = visitChildren(bytes, (name, start, end) => readings.add(name, start, end), most)
  if (extent.pieces > most.pieces || extent.depth > most.depth) return tooMuch
  const beyondText = extent.pieces * bytesPerPiece - bytes.length
  if (beyondText > 0 && !claim(beyondText)) return refuse('overloaded')
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    return refuse('invalid_json')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse('invalid_json', { message: 'The body must be a JSON object.' })
  }
  const refusal = readings.refusal()
  return (
    refusal ?? {
      kind: 'json',
      bytes,
      fields: value as Readonly<Record<string, unknown>>,
      names: extent.names,
    }
  )
}

/**
 * Whether some object in the body, however deep, has a name twice. Parsers keep the one or the other: where what
 * stands in messages and tools decides what a request costs, it must have one reading.
 */
export function repeatsAName({ fields, names }: JsonBody): boolean {
  let found = 0
  const open: object[] = [fields]
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    const children: readonly unknown[] = Array.isArray(value) ? value : Object.values(value)
    if (!Array.isArray(value)) found += children.length
    for (const child of children) if (typeof child === 'object' && child !== null) open.push(child)
  }
  return found !== names
}

const tooMuch = refuse('invalid_request', {
  message: `A JSON body may hold ${most.pieces} values and names here, nested ${most.depth} deep.`,
  details: { max_values: most.pieces, max_depth: most.depth },
})

interface Place {
  readonly start: number
  readonly end: number
}

/** Watches the members of a body for those that one parser reads and another does not. */
class Readings {
  readonly #bytes: Buffer
  readonly #places = new Map<string, Place>()
  #refusal: Refusal | null = null

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  add(name: string | null, start: number, end: number): void {
    const field = name === null ? null : fieldSpelled(name, singleFields)
    if (name === null || field === null) return
    if (name !== field) this.#refusal ??= otherCase(name)
    else if (this.#places.has(field)) this.#refusal ??= twice(field)
    else this.#places.set(field, { start, end })
  }

  /** Once the text is known to be JSON. */
  refusal(): Refusal | null {
    if (this.#refusal !== null) return this.#refusal
    const options = this.#places.get('stream_options')
    if (options !== undefined && repeats(this.#bytes, options, fieldsOfOptions))
      return twice('stream_options.include_usage')
    const tools = this.#places.get('tools')
    const tool = tools === undefined ? -1 : this.#repeatingTool(tools)
    return tool === -1 ? null : twice(`tools[${tool}]`)
  }

  #repeatingTool(tools: Place): number {
    if (this.#bytes[tools.start] !== openArray) return -1
    let index = 0
    let found = -1
    const look = (_name: string | null, start: number, end: number) => {
      if (found === -1 && repeats(this.#bytes, { start, end }, fieldsOfTools)) found = index
      index++
    }
    visitChildren(this.#bytes, look, most, tools.start, tools.end)
    return found
  }
}

function twice(field: string): Refusal {
  return refuse('invalid_request', { param: field, message: `The field ${field} occurs twice.` })
}

function otherCase(name: string): Refusal {
  return refuse('invalid_request', {
    param: name,
    message: 'A field differs from one that is read here only in upper and lower case.',
  })
}

const openObject = 0x7b
const openArray = 0x5b
const fieldsOfOptions: ReadonlySet<string> = new Set(['include_usage'])
const fieldsOfTools: ReadonlySet<string> = new Set(['model', 'type'])

/** Whether one of `names` stands in the object at `place` twice, or in another case. What is no object has none. */
function repeats(bytes: Buffer, place: Place, names: ReadonlySet<string>): boolean {
  if (bytes[place.start] !== openObject) return false
  const seen = new Set<string>()
  let found = false
  const look = (name: string | null) => {
    const field = name === null ? null : fieldSpelled(name, names)
    if (field === null) return
    found ||= name !== field || seen.has(field)
    seen.add(field)
  }
  visitChildren(bytes, look, most, place.start, place.end)
  return found
}
