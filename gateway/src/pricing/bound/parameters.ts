import { type Unbounded, unboundedParameter } from './bound.ts'

/** What an endpoint's parameters mean for its cost. */
export interface ParameterRules {
  /** Those that change nothing, or whose cost the bound counts. */
  readonly known: ReadonlySet<string>
  /** Those that may cost what the bound can't count, and for which values they do not. */
  readonly costly: ReadonlyMap<string, (value: unknown) => boolean>
  /** All of them in the one spelling that stands for every other. */
  readonly folded: ReadonlySet<string>
}

/** The highest output cap that is taken under a budget: ten times what any model puts out. */
export const mostOutput = 10_000_000

/**
 * The most choices, or images, that one request may ask for. OpenAI's `n` ends at 128; others document no end.
 * Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-n
 */
export function mostChoices(isOpenai: boolean): number {
  return isOpenai ? 128 : 10_000
}

const never = () => false
const isOff = (value: unknown) => value === false

/** Parameters by which some API spends what no bound counts, on every endpoint that does not list them. */
const costlyEverywhere = [
  // Other models, or other sellers of the same one.
  ...['models', 'fallbacks', 'fallback_models', 'route', 'provider', 'preset'],
  // Searches and other services with a price of their own.
  ...['plugins', 'web_search_options', 'search_parameters', 'web_search', 'enable_search', 'search_options'],
  ...['mcp_servers', 'container', 'context_management', 'speed', 'inference_geo'],
  // Whatever a client library would have spread over the body, and Google's own parameters.
  ...['extra_body', 'google'],
  // What is stored there, and read as input.
  ...['cached_content', 'previous_response_id', 'conversation', 'conversation_id', 'context_id', 'thread_id'],
  ...['prompt_id', 'file_ids', 'data_sources'],
  // Another output cap, which might be believed instead.
  ...['max_output_tokens', 'max_new_tokens', 'max_length', 'num_predict', 'generation_config'],
  // More choices than are shown, or an answer that is fetched, with its usage, later.
  ...['best_of', 'deferred'],
]

/** Rules from lists: `costly` maps a name to the values that are harmless, or to null where none is. */
export function parameterRules(
  known: readonly string[],
  costly: Readonly<Record<string, ((value: unknown) => boolean) | null>> = {},
): ParameterRules {
  const costlyHere = new Map([
    ...costlyEverywhere.map((name) => [name, isOff] as const),
    ...Object.entries(costly).map(([name, harmless]) => [name, harmless ?? never] as const),
  ])
  return {
    known: new Set(known),
    costly: costlyHere,
    folded: new Set([...known, ...costlyHere.keys()].map(foldName)),
  }
}

const longestName = 40

/** A name as a lax parser compares it: in whatever case, as `snake_case` or as `camelCase`. */
function foldName(name: string): string {
  // Upper case first: "ſ" is another spelling of "s" that has no lower case of its own.
  return name.toUpperCase().toLowerCase().replaceAll(/[_-]/g, '')
}

/**
 * Refuses the first parameter whose cost nobody can bound. `strict` refuses unknown ones too: what OpenAI
 * adds tomorrow may be a paid service. Elsewhere only those that another spelling would make known. Null, like
 * an absent parameter, asks for nothing.
 */
export function parameterRefusal(
  fields: Readonly<Record<string, unknown>>,
  { known, costly, folded }: ParameterRules,
  strict: boolean,
): Unbounded | null {
  for (const name in fields) {
    if (known.has(name)) continue
    const value = fields[name]
    if (value === null || value === undefined) continue
    const harmless = costly.get(name)
    const refused =
      harmless === undefined
        ? strict || (name.length <= longestName && folded.has(foldName(name)))
        : !harmless(value)
    if (refused) return unboundedParameter(name)
  }
  return null
}

/** Refuses the first tool that the provider runs, and bills, itself. `allowed`: those that the client runs. */
export function toolRefusal(tools: unknown, allowed: ReadonlySet<string>): Unbounded | null {
  if (tools === undefined || tools === null) return null
  if (!Array.isArray(tools)) return unboundedParameter('tools')
  for (const [index, tool] of tools.entries()) {
    const type: unknown = typeof tool === 'object' && tool !== null ? tool.type : undefined
    if (typeof type !== 'string' || !allowed.has(type)) return unboundedParameter(`tools[${index}].type`)
  }
  return null
}

/**
 * A whole number that a parameter gives, from `least` to `most`; `absent` where it gives none. Forms give text.
 * What is no such number is refused: a provider might still take it for one, and not for ours.
 */
export function wholeNumber<Absent extends bigint | null>(
  fields: Readonly<Record<string, unknown>>,
  name: string,
  absent: Absent,
  least: number,
  most: number,
): bigint | Absent | Unbounded {
  const value = fields[name]
  if (value === undefined || value === null) return absent
  const number = typeof value === 'string' && /^[0-9]{1,15}$/.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isInteger(number) && number >= least && number <= most
    ? BigInt(number)
    : unboundedParameter(name, `${name} must be a whole number from ${least} to ${most} under a budget.`)
}

/** Whether reading a parameter ended in a refusal. */
export function isRefused<Value>(value: Value | Unbounded): value is Unbounded {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'refused'
}
