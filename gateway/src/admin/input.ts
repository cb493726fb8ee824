import { LatchkeyError } from '@latchkey/shared'
import type { Context } from 'hono'
import type { z } from 'zod'

/** The longest body; what the admin API takes is far shorter. */
const mostBodyBytes = 2 ** 20

/**
 * The request's body, as `schema` reads it; none reads as `{}`. Throws `body_too_large`,
 * `unsupported_media_type`, `invalid_json`, or `invalid_request` with the name of the first bad field.
 */
export async function readBody<Schema extends z.ZodType>(
  c: Context,
  schema: Schema,
): Promise<z.output<Schema>> {
  const text = await readText(c.req.raw)
  if (text === '') return parse(schema, {})
  const mediaType = (c.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase()
  // A form can be posted by any page, JSON can't.
  if (mediaType !== 'application/json') {
    throw new LatchkeyError('unsupported_media_type', { message: 'Send JSON, as application/json.' })
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Without the cause: its message quotes the body, which may hold a secret.
    throw new LatchkeyError('invalid_json')
  }
  return parse(schema, value)
}

/** The query, as `schema` reads it. Throws `invalid_request` with the name of the first bad parameter. */
export function readQuery<Schema extends z.ZodType>(c: Context, schema: Schema): z.output<Schema> {
  const query: Record<string, string> = {}
  for (const [name, values] of Object.entries(c.req.queries())) {
    const [value, second] = values
    if (second !== undefined) throw refuse(name, 'is given twice')
    if (value !== undefined) query[name] = value
  }
  return parse(schema, query)
}

/** Counted as it is read: a length that was announced may be missing, or false. */
async function readText(request: Request): Promise<string> {
  if (Number(request.headers.get('content-length') ?? 0) > mostBodyBytes)
    throw new LatchkeyError('body_too_large')
  if (request.body === null) return ''
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of request.body) {
    size += piece.byteLength
    if (size > mostBodyBytes) throw new LatchkeyError('body_too_large')
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}

function parse<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value)
  if (parsed.success) {
    const path = findNul(value)
    if (path !== null) throw refuse(spell(path), 'must not hold a NUL character')
    return parsed.data
  }
  const [issue] = parsed.error.issues
  if (issue === undefined) throw new LatchkeyError('invalid_request')
  if (issue.code === 'unrecognized_keys') throw refuse(issue.keys[0] ?? '', 'is not a known field')
  const missing = issue.code === 'invalid_type' && issue.message.endsWith('received undefined')
  throw refuse(spell(issue.path), missing ? 'is required' : issue.message)
}

/** The path of the first text, or name, that holds the one character which Postgres can't store. */
function findNul(value: unknown, path: readonly PropertyKey[] = []): readonly PropertyKey[] | null {
  if (typeof value === 'string') return value.includes('\0') ? path : null
  if (typeof value !== 'object' || value === null) return null
  for (const [name, item] of Object.entries(value)) {
    if (name.includes('\0')) return path
    const found = findNul(item, [...path, Array.isArray(value) ? Number(name) : name])
    if (found !== null) return found
  }
  return null
}

function refuse(param: string, message: string): LatchkeyError {
  const name = param.slice(0, 64)
  return new LatchkeyError('invalid_request', {
    message: `${name === '' ? 'The body' : name} ${sentence(message)}.`,
    ...(name === '' ? {} : { param: name }),
  })
}

/** Our own messages go on after the field's name; the library's are sentences of their own. */
function sentence(message: string): string {
  return /^[A-Z]/.test(message) ? `is not valid: ${message}` : message
}

function spell(path: readonly PropertyKey[]): string {
  return path
    .map((step, index) =>
      typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${String(step)}`,
    )
    .join('')
}
