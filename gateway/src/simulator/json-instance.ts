import { isObject, type JsonObject } from './fields.ts'

const deepest = 16
// A schema that branches at every level would else grow without end.
const mostValues = 10_000

interface Context {
  readonly root: JsonObject
  values: number
}

/**
 * A small value that `schema` accepts, for the part of JSON Schema that structured outputs allow:
 * type, enum, const, properties, items, anyOf, $ref, and the usual least lengths and numbers.
 */
export function instanceOf(schema: JsonObject): unknown {
  return build(schema, { root: schema, values: 0 }, 0)
}

function build(schema: unknown, context: Context, depth: number): unknown {
  if (!isObject(schema) || depth > deepest || ++context.values > mostValues) return null
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum)) return schema.enum[0]
  if (typeof schema.$ref === 'string') return build(resolve(context.root, schema.$ref), context, depth + 1)
  const alternatives = schema.anyOf ?? schema.oneOf
  if (Array.isArray(alternatives)) return buildAlternative(alternatives, context, depth)
  if (Array.isArray(schema.allOf)) return build(Object.assign({}, ...schema.allOf), context, depth + 1)
  switch (typeOf(schema)) {
    case 'object':
      return buildObject(schema, context, depth)
    case 'array':
      return buildArray(schema, context, depth)
    case 'string':
      return buildString(schema)
    case 'integer':
      return Math.ceil(leastNumber(schema))
    case 'number':
      return leastNumber(schema)
    case 'boolean':
      return true
    default:
      return null
  }
}

// Where a schema refers to itself, the alternative without a reference is what ends the recursion.
function buildAlternative(alternatives: readonly unknown[], context: Context, depth: number): unknown {
  const plain = alternatives.find((one) => isObject(one) && one.$ref === undefined && one.type !== 'null')
  const ends = alternatives.find((one) => isObject(one) && one.type === 'null')
  return build(plain ?? (depth > 2 ? ends : undefined) ?? alternatives[0], context, depth + 1)
}

function typeOf(schema: JsonObject): unknown {
  if (Array.isArray(schema.type)) return schema.type.find((type) => type !== 'null') ?? 'null'
  return schema.type ?? (schema.properties === undefined ? undefined : 'object')
}

function buildObject(schema: JsonObject, context: Context, depth: number): JsonObject {
  const properties = isObject(schema.properties) ? schema.properties : {}
  // Deep down only what is required, so that optional self-references end.
  const required = Array.isArray(schema.required) ? schema.required : []
  const names = Object.keys(properties).filter((name) => depth < 4 || required.includes(name))
  return Object.fromEntries(names.map((name) => [name, build(properties[name], context, depth + 1)]))
}

function buildArray(schema: JsonObject, context: Context, depth: number): unknown[] {
  const least = typeof schema.minItems === 'number' ? schema.minItems : depth < 4 ? 1 : 0
  return Array.from({ length: Math.min(least, 100) }, () => build(schema.items, context, depth + 1))
}

const formats = new Map([
  ['date-time', '2030-01-01T00:00:00Z'],
  ['date', '2030-01-01'],
  ['time', '00:00:00Z'],
  ['duration', 'P1D'],
  ['email', 'someone@example.com'],
  ['hostname', 'example.com'],
  ['ipv4', '192.0.2.1'],
  ['ipv6', '2001:db8::1'],
  ['uri', 'https://example.com/'],
  ['uuid', '00000000-0000-4000-8000-000000000000'],
])

function buildString(schema: JsonObject): string {
  const format = typeof schema.format === 'string' ? formats.get(schema.format) : undefined
  const text = format ?? 'simulated'
  return text.padEnd(typeof schema.minLength === 'number' ? Math.min(schema.minLength, 10_000) : 0, 'x')
}

function leastNumber(schema: JsonObject): number {
  if (typeof schema.minimum === 'number') return schema.minimum
  if (typeof schema.exclusiveMinimum === 'number') return schema.exclusiveMinimum + 1
  return typeof schema.maximum === 'number' ? Math.min(1, schema.maximum) : 1
}

function resolve(root: JsonObject, reference: string): unknown {
  let value: unknown = root
  for (const segment of reference.replace(/^#\/?/, '').split('/')) {
    if (segment === '') continue
    const name = segment.replaceAll('~1', '/').replaceAll('~0', '~')
    value = isObject(value) ? value[name] : undefined
  }
  return value
}
