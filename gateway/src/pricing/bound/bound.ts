import { type ErrorCode, type NanoUsd, nanoUsd, nanoUsdFromPico, picoUsd } from '@latchkey/shared'
import type { Price } from '../price.ts'

/** The most that a request can cost, or why nobody can say. */
export type Bound = Bounded | Unbounded

export interface Bounded {
  readonly kind: 'bounded'
  /** With the output cap that the client gave, or else the one in `cap`. Rounded up. */
  readonly nanoUsd: NanoUsd
  /** What the request is settled by; null: it is free whatever it uses. */
  readonly price: Price | null
  /** The most input tokens, for limits that count tokens. */
  readonly inputTokens: bigint
  /** The most output tokens, over all choices; null: not billed by the token. */
  readonly outputTokens: bigint | null
  /** What limits the output; null: nothing that a gateway could set. */
  readonly cap: OutputCap | null
}

/** The parameter that caps the output, and how the bound depends on it. */
export interface OutputCap {
  readonly field: string
  /** The tokens of one choice that the bound counts with. */
  readonly tokens: bigint
  /** False: the client gave none, and the bound holds only if the gateway sends this one. */
  readonly given: boolean
  /** The least that it may be lowered to. */
  readonly least: bigint
  /** What the request costs before its first output token, in pico-dollars. */
  readonly fixedPico: bigint
  /** What a token more on the cap adds, over all choices, in pico-dollars. */
  readonly picoPerToken: bigint
  /** Choices that are generated, each up to the cap. */
  readonly choices: bigint
}

export interface Unbounded {
  readonly kind: 'refused'
  readonly code: Extract<ErrorCode, 'unpriced_model' | 'unsupported_parameter'>
  /** The field that is at fault; null: the endpoint itself. */
  readonly param: string | null
  readonly message: string
}

/** A request that costs nothing, whatever it uses. */
export const free: Bounded = Object.freeze({
  kind: 'bounded',
  nanoUsd: nanoUsd(0n),
  price: null,
  inputTokens: 0n,
  outputTokens: null,
  cap: null,
})

/** A bound whose output is limited by `cap`. */
export function boundedByCap(price: Price, inputTokens: bigint, cap: OutputCap): Bounded {
  return {
    kind: 'bounded',
    nanoUsd: nanoUsdFromPico(cap.fixedPico + cap.picoPerToken * cap.tokens),
    price,
    inputTokens,
    outputTokens: cap.tokens * cap.choices,
    cap,
  }
}

/** A bound that no parameter of the request could lower. */
export function boundedAt(
  price: Price,
  inputTokens: bigint,
  pico: bigint,
  outputTokens: bigint | null = null,
): Bounded {
  return { kind: 'bounded', nanoUsd: nanoUsdFromPico(pico), price, inputTokens, outputTokens, cap: null }
}

/** `bound` with another output cap, which must then be sent in place of the client's. */
export function withCap(bound: Bounded, tokens: bigint): Bounded {
  if (bound.cap === null || bound.price === null) return bound
  return boundedByCap(bound.price, bound.inputTokens, { ...bound.cap, tokens })
}

/**
 * The greatest output cap, up to the present one, with which the request costs at most `amount`. Null:
 * none would do, for the input alone is too dear, or nothing caps the output.
 */
export function largestCapWithin({ cap }: Bounded, amount: NanoUsd): bigint | null {
  if (cap === null) return null
  const rest = picoUsd(amount) - cap.fixedPico
  if (rest < 0n) return null
  const affordable = cap.picoPerToken === 0n ? cap.tokens : rest / cap.picoPerToken
  if (affordable < cap.least) return null
  return affordable < cap.tokens ? affordable : cap.tokens
}

/** Refuses a model that has no price. `param`: the field that names it. */
export function unpricedModel(param: string, message?: string): Unbounded {
  return {
    kind: 'refused',
    code: 'unpriced_model',
    param,
    message: message ?? 'No price is known for this model, and this API key has a budget.',
  }
}

/** Refuses a field whose cost nothing in the request bounds. `message`: where more can be said. */
export function unboundedParameter(param: string | null, message?: string): Unbounded {
  return {
    kind: 'refused',
    code: 'unsupported_parameter',
    param,
    message:
      message ??
      `What ${param ?? 'this endpoint'} can cost has no bound, so an API key with a budget may not use it.`,
  }
}
