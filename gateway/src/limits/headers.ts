import { type Limit, refillMs } from './limit.ts'
import type { LimitRefusal, LimitScope, LimitScopeKind, LimitState } from './rate-limiter.ts'

/** Limits whose remainder is told. The policies of all are. */
const mostTold = 3
/** Nano-dollars in a cent. */
export const nanoUsdPerCent = 10_000_000

/**
 * The headers that tell a client of its limits, as names and values in turn: `ratelimit-policy` with all of them and
 * `ratelimit` with the tightest (draft-ietf-httpapi-ratelimit-headers-10). Limits of provider keys are not among them:
 * whoever holds a proxy key is not told what is behind it. Empty where there is no limit to tell.
 */
export function rateLimitHeaders(all: readonly LimitState[]): readonly string[] {
  const state = all.some(isHidden) ? all.filter((each) => !isHidden(each)) : all
  if (state.length === 0) return []
  let policies = ''
  for (const { scope, limit } of state) {
    const { policy } = textOf(scope, limit)
    policies += policies === '' ? policy : `, ${policy}`
  }
  let limits = ''
  for (const { scope, limit, remaining, fullAfterMs } of tightest(state)) {
    const item = `"${textOf(scope, limit).name}";r=${limit.unit === 'nano-usd' ? Math.floor(remaining / nanoUsdPerCent) : remaining}`
    limits += limits === '' ? item : `, ${item}`
    if (fullAfterMs !== null) limits += `;t=${Math.ceil(fullAfterMs / 1000)}`
  }
  return ['ratelimit-policy', policies, 'ratelimit', limits]
}

/** The headers of the answer to a request that was refused: those, and when to try again. */
export function refusalHeaders(refusal: LimitRefusal): readonly string[] {
  return ['retry-after', String(retryAfterSeconds(refusal)), ...rateLimitHeaders(refusal.state)]
}

/** Whole seconds until the request may be sent again, rounded up (RFC 9110, section 10.2.3). */
export function retryAfterSeconds({ retryAfterMs }: LimitRefusal): number {
  return Math.ceil(retryAfterMs / 1000)
}

function isHidden({ scope }: LimitState): boolean {
  return scope.kind === 'provider_key'
}

/** Those with the least share left, the tightest first; all of them where they are few. */
function tightest(state: readonly LimitState[]): readonly LimitState[] {
  if (state.length <= mostTold) return state
  const told: LimitState[] = []
  for (const each of state) {
    let place = told.length
    while (place > 0 && share(each) < share(told[place - 1])) place--
    if (place < mostTold) told.splice(place, 0, each)
    if (told.length > mostTold) told.pop()
  }
  return told
}

function share(state: LimitState | undefined): number {
  return state === undefined ? 0 : state.remaining / state.limit.limit
}

/** What the headers say of a limit as long as it is not changed. */
interface LimitText {
  readonly kind: LimitScopeKind
  /** `key-rpm`, `group-tpd`, `key-concurrency`; `policy` for what the request named. */
  readonly name: string
  /** Its item in `ratelimit-policy`. */
  readonly policy: string
}

const texts = new WeakMap<Limit, LimitText>()

function textOf({ kind }: LimitScope, limit: Limit): LimitText {
  const known = texts.get(limit)
  if (known?.kind === kind) return known
  const name = nameOf(kind, limit)
  const quota = limit.unit === 'nano-usd' ? limit.limit / nanoUsdPerCent : limit.limit
  const text = { kind, name, policy: `"${name}";q=${quota}${unitOf(limit)}` }
  texts.set(limit, text)
  return text
}

function nameOf(kind: LimitScopeKind, limit: Limit): string {
  if (limit.unit === 'concurrency') return `${kind}-concurrency`
  return typeof limit.per === 'number' ? kind : `${kind}-${limit.unit.charAt(0)}p${limit.per.charAt(0)}`
}

/** The parameters for unit and window. Requests are the default unit; slots have no window. */
function unitOf(limit: Limit): string {
  switch (limit.unit) {
    case 'requests':
      return `;w=${refillMs(limit) / 1000}`
    case 'tokens':
      return `;qu="tokens";w=${refillMs(limit) / 1000}`
    case 'nano-usd':
      return `;qu="cents";w=${refillMs(limit) / 1000}`
    case 'concurrency':
      return ';qu="concurrent-requests"'
    default:
      return limit satisfies never
  }
}
