import { type Unbounded, unboundedParameter } from './bound.ts'

/** What an endpoint's parameters mean for its cost. */
export interface ParameterRules {
  /** Those that change nothing, or whose cost the bound counts. */
  readonly known: ReadonlySet<string>
  /** Those that may cost what the bound can't count, and for which values they do not. */
  readonly costly: ReadonlyMap<string, (value: unknown) => boolean>
}

const never = () => false

/** Parameters by which some API picks another model or a paid service, on every endpoint. */
const costlyEverywhere: ReadonlyMap<string, (value: unknown) => boolean> = new Map([
  ['models', never],
  ['plugins', never],
  ['web_search_options', never],
  ['search_parameters', never],
])

/** Rules from lists: `costly` maps a name to the values that are harmless, or to null where none is. */
export function parameterRules(
  known: readonly string[],
  costly: Readonly<Record<string, ((value: unknown) => boolean) | null>> = {},
): ParameterRules {
  return {
    known: new Set(known),
    costly: new Map([
      ...costlyEverywhere,
      ...Object.entries(costly).map(([name, harmless]) => [name, harmless ?? never] as const),
    ]),
  }
}

/**
 * Refuses the first parameter whose cost nobody can bound. `strict` refuses unknown ones too: what OpenAI
 * adds tomorrow may be a paid service. Null, like an absent parameter, asks for nothing.
 */
export function parameterRefusal(
  fields: Readonly<Record<string, unknown>>,
  { known, costly }: ParameterRules,
  strict: boolean,
): Unbounded | null {
  for (const name in fields) {
    if (known.has(name)) continue
    const value = fields[name]
    if (value === null || value === undefined) continue
    const harmless = costly.get(name)
    if (harmless === undefined ? strict : !harmless(value)) return unboundedParameter(name)
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
 * A whole number that a parameter gives, at least `least`; `absent` where it gives none. Forms give text.
 * What is no such number is refused: a provider might still take it for one, and not for ours.
 */
export function wholeNumber<Absent extends bigint | null>(
  fields: Readonly<Record<string, unknown>>,
  name: string,
  absent: Absent,
  least = 1,
): bigint | Absent | Unbounded {
  const value = fields[name]
  if (value === undefined || value === null) return absent
  const number = typeof value === 'string' && /^[0-9]{1,15}$/.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= least
    ? BigInt(number)
    : unboundedParameter(name, `${name} must be a whole number of at least ${least} under a budget.`)
}

/** Whether reading a parameter ended in a refusal. */
export function isRefused<Value>(value: Value | Unbounded): value is Unbounded {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'refused'
}
