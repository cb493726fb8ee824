import { type BudgetId, formatUsd, type NanoUsd, nanoUsd, type ProxyKeyId } from '@latchkey/shared'
import { Hold, type HoldDecision } from '../budget/hold.ts'
import type { Settlement } from '../budget/settle.ts'
import type { PricedAsk } from '../pricing/bound/ask.ts'
import {
  type Bound,
  type Bounded,
  largestCapWithin,
  type OutputCap,
  withCap,
} from '../pricing/bound/bound.ts'
import type { PriceTable } from '../pricing/price-table.ts'
import type { TextCount } from '../pricing/token-count.ts'
import type { AttemptEnd } from './attempt-end.ts'
import type { Candidate } from './authorize.ts'
import { chargeOf } from './charge.ts'
import { type PricedRequest, type Quote, quoteFor, tokensOf } from './quote.ts'
import { type Refusal, refuse } from './refusal.ts'

/** What a request's money asks of the budgets: to hold and to settle, in this process's memory. */
export interface Budgets {
  /** The decision that needs no waiting, or null. */
  holdNow(budgets: readonly BudgetId[], amount: NanoUsd): HoldDecision | null
  hold(
    budgets: readonly BudgetId[],
    amount: NanoUsd,
    signal: AbortSignal,
  ): HoldDecision | Promise<HoldDecision>
  /** Ends a hold with what was spent; what it returns goes into the request's record. */
  settle(hold: Hold, cost: NanoUsd): readonly Settlement[]
  giveBack(hold: Hold): void
  /** What is left of the tightest of `budgets`; null: not known yet. */
  remaining(budgets: readonly BudgetId[]): NanoUsd | null
}

/** Counts a request's tokens more closely than by its bytes. */
export interface TokenCount {
  /** The `textTokens` of a bound. Keys take turns; a client that has left waits no more. */
  textTokens(ask: PricedAsk, keyId: string, leaving: AbortSignal): Promise<TextCount>
}

export interface SpendingPorts {
  readonly budgets: Budgets
  readonly tokenCounter: TokenCount
  /** The prices of now. A request keeps those with which it began. */
  readonly prices: { readonly current: PriceTable }
}

/** For whom money is spent. */
export interface Spender {
  readonly keyId: ProxyKeyId
  /** Whether an output cap that the client gave may be lowered. */
  readonly clamps: boolean
}

/** The money of an attempt that may be sent. */
export interface Funding {
  readonly kind: 'funded'
  /** The output cap that is to be sent in place of the client's, or of none; null: the body goes as it is. */
  readonly cap: { readonly field: string; readonly tokens: bigint } | null
  /** Headers for the client: what is left of its budgets while the attempt is in flight, and which cap we set. */
  readonly headers: readonly string[]
  /** Settles what the attempt did cost, by how it ended; null: it was not sent after all. Once, in any case. */
  end(end: AttemptEnd | null): void
}

/** What a request has cost, over all its attempts, for its record. */
export interface Spent {
  /** Null where no price is known. */
  readonly cost: NanoUsd | null
  /** Null where no budget held for it. */
  readonly held: NanoUsd | null
  readonly estimated: boolean
  readonly priceVersion: string | null
  readonly settlements: readonly Settlement[]
}

/** The most nano-dollars that a rate limit is asked for: a million dollars, far above any that it can have. */
export const mostTaken = 1_000_000_000_000_000n
/** How often a request is fitted to what is left, which others are spending, too. */
const mostFittings = 4
/** The hold of what counts in no budget. */
const noHold = new Hold(nanoUsd(0n), [])
/** OpenAI's SDKs send a 429 again unless they are told that it won't help. */
const noRetry = ['x-should-retry', 'false']
const countLater = {
  message:
    'The budget of this API key can’t pay for each byte of this request as a token, and there is no time to count its tokens now. Try again shortly.',
  headers: ['retry-after', '1'],
}

/**
 * The money of one request. Each attempt holds the most that it can cost before it is sent, at its provider
 * key's price and in its budgets, and settles what it did cost. A hold is never smaller than the bound of what
 * is sent: where a budget can't pay for the output, the request is refused or its output cap lowered.
 */
export class Spending {
  readonly #budgets: Budgets
  readonly #tokenCounter: TokenCount
  readonly #table: PriceTable
  readonly #spender: Spender
  #request: PricedRequest
  #quoted: { readonly provider: string; readonly quote: Quote } | null = null
  #cost: bigint | null = 0n
  #held: bigint | null = null
  #estimated = false
  #priceVersion: string | null = null
  #settlements: readonly Settlement[] = []

  constructor({ budgets, tokenCounter, prices }: SpendingPorts, request: PricedRequest, spender: Spender) {
    this.#budgets = budgets
    this.#tokenCounter = tokenCounter
    this.#table = prices.current
    this.#request = request
    this.#spender = spender
  }

  /** What a form asks for, which is known once it has been read. */
  readForm(fields: Readonly<Record<string, unknown>>, bytes: number): void {
    this.#request = { ...this.#request, fields, bytes, isForm: true }
    this.#quoted = null
  }

  /** The most tokens that an attempt with `candidate` can use, for limits that count them. */
  tokens(candidate: Candidate): number {
    return tokensOf(this.#quote(candidate), this.#request)
  }

  /** The most that an attempt with `candidate` can cost, in nano-dollars, for limits that count money. */
  most(candidate: Candidate): number | Refusal {
    const { bound } = this.#quote(candidate)
    if (bound.kind === 'refused') return unbounded(bound)
    return Number(bound.nanoUsd < mostTaken ? bound.nanoUsd : mostTaken)
  }

  /** Holds what an attempt with `candidate` may cost: at once, mostly. Null: its client has left meanwhile. */
  fund(
    candidate: Candidate,
    leaving: () => AbortSignal,
  ): Funding | Refusal | Promise<Funding | Refusal | null> {
    const quote = this.#quote(candidate)
    if (candidate.budgets.length === 0) return this.#funding(candidate, quote, null, noHold)
    const { bound } = quote
    if (bound.kind === 'refused') return unbounded(bound)
    const now = this.#budgets.holdNow(candidate.budgets, bound.nanoUsd)
    if (now?.kind === 'held') return this.#funding(candidate, quote, bound.cap, now.hold)
    return this.#fit(candidate, quote, bound, leaving())
  }

  /** What has been spent so far. */
  get spent(): Spent {
    return {
      cost: this.#cost === null ? null : nanoUsd(this.#cost),
      held: this.#held === null ? null : nanoUsd(this.#held),
      estimated: this.#estimated,
      priceVersion: this.#priceVersion,
      settlements: this.#settlements,
    }
  }

  #funding(candidate: Candidate, quote: Quote, sent: OutputCap | null, hold: Hold): Funding {
    const cap = capToSet(quote, sent)
    return {
      kind: 'funded',
      cap,
      headers: this.#headers(candidate, cap),
      end: (end) => {
        if (end !== null) this.#settle(quote, hold, end)
        else if (hold.leases.length > 0) this.#budgets.giveBack(hold)
      },
    }
  }

  #settle(quote: Quote, hold: Hold, end: AttemptEnd): void {
    const holds = hold.leases.length > 0
    const { cost, estimated } = chargeOf(quote, holds ? hold.amount : null, end)
    if (holds) {
      this.#held = (this.#held ?? 0n) + hold.amount
      const settlements = this.#budgets.settle(hold, cost ?? nanoUsd(0n))
      this.#settlements =
        this.#settlements.length === 0 ? settlements : [...this.#settlements, ...settlements]
    }
    this.#cost = this.#cost === null || cost === null ? null : this.#cost + cost
    this.#estimated ||= estimated
    this.#priceVersion = quote.prices?.price.version ?? null
  }

  #headers({ shownBudgets }: Candidate, cap: Funding['cap']): readonly string[] {
    const remaining = shownBudgets.length === 0 ? null : this.#budgets.remaining(shownBudgets)
    const left = remaining === null ? [] : ['latchkey-budget-remaining-usd', formatUsd(remaining)]
    return cap === null ? left : [...left, 'latchkey-output-cap', String(cap.tokens)]
  }

  #quote({ provider }: Candidate): Quote {
    const known = this.#quoted
    if (known?.provider === provider.name) return known.quote
    const quote = quoteFor(this.#table, provider.name, this.#request)
    this.#quoted = { provider: provider.name, quote }
    return quote
  }

  /** Waits for leases, and asks for less where the budgets can't pay for the bound. */
  async #fit(
    candidate: Candidate,
    quote: Quote,
    asked: Bounded,
    leaving: AbortSignal,
  ): Promise<Funding | Refusal | null> {
    let bound = asked
    for (let fittings = 0; ; fittings++) {
      const decision = await this.#budgets.hold(candidate.budgets, bound.nanoUsd, leaving)
      switch (decision.kind) {
        case 'held':
          return this.#funding(candidate, quote, bound.cap, decision.hold)
        case 'exhausted': {
          const closer = fittings === 0 ? await this.#closer(candidate, decision.remaining, leaving) : null
          if (leaving.aborted) return null
          if (closer === 'busy') return refuse('budget_in_flight', countLater)
          const smaller =
            closer ?? (fittings < mostFittings ? this.#smaller(bound, decision.remaining) : null)
          if (smaller === null)
            return exhausted(bound, decision.remaining, candidate.shownBudgets.includes(decision.budget))
          bound = smaller
          break
        }
        case 'paused':
          return refuse('insufficient_quota', {
            message: 'A budget of this API key is paused. Ask whoever gave it to you.',
            headers: noRetry,
          })
        case 'in-flight':
          return refuse('budget_in_flight', {
            headers: ['retry-after', String(Math.max(1, Math.ceil(decision.retryAfterMs / 1000)))],
          })
        case 'unavailable':
          return refuse('budget_unavailable')
        case 'aborted':
          return null
        default:
          return decision satisfies never
      }
    }
  }

  /** The bound by a tokenizer's count of the input. Null: there is none, or `remaining` would not pay for it. */
  async #closer(
    candidate: Candidate,
    remaining: NanoUsd,
    leaving: AbortSignal,
  ): Promise<Bounded | 'busy' | null> {
    const least = this.#countedBound(candidate, 0)
    if (least === null || (least.nanoUsd > remaining && this.#smaller(least, remaining) === null)) return null
    const ask = { provider: candidate.provider.name, ...this.#request }
    const count = await this.#tokenCounter.textTokens(ask, this.#spender.keyId, leaving)
    switch (count.kind) {
      case 'counted':
        return this.#countedBound(candidate, count.tokens)
      case 'uncountable':
        return null
      case 'busy':
        return 'busy'
      default:
        return count satisfies never
    }
  }

  #countedBound({ provider }: Candidate, textTokens: number): Bounded | null {
    const { bound } = quoteFor(this.#table, provider.name, this.#request, textTokens)
    return bound.kind === 'bounded' ? bound : null
  }

  /** `bound` with the output that `remaining` pays for, where it is ours to say how much that is. */
  #smaller(bound: Bounded, remaining: NanoUsd): Bounded | null {
    if (bound.cap === null || (bound.cap.given && !this.#spender.clamps)) return null
    const tokens = largestCapWithin(bound, remaining)
    return tokens === null ? null : withCap(bound, tokens)
  }
}

function unbounded({ code, param, message }: Extract<Bound, { readonly kind: 'refused' }>): Refusal {
  return refuse(code, param === null ? { message } : { message, param })
}

/** The output cap that is sent must be the one that is held for: the client's own, or one that we set. */
function capToSet({ bound }: Quote, sent: OutputCap | null): Funding['cap'] {
  if (sent === null || bound.kind === 'refused') return null
  const isClients = sent.given && sent.tokens === bound.cap?.tokens
  return isClients ? null : { field: sent.field, tokens: sent.tokens }
}

/** `shown`: whether its holder may see the figures of the budget that can't pay. */
function exhausted({ nanoUsd: bound, cap }: Bounded, remaining: NanoUsd, shown: boolean): Refusal {
  if (!shown) {
    const message = 'What is left of a budget behind this API key can’t pay for this request.'
    return refuse('insufficient_quota', { message, headers: noRetry })
  }
  const advice = cap === null ? '' : ` Ask for less output in ${cap.field}, or for a higher budget.`
  return refuse('insufficient_quota', {
    message: `This request may cost up to $${formatUsd(bound)}, and $${formatUsd(remaining)} of the budget is left.${advice}`,
    ...(cap === null ? {} : { param: cap.field }),
    details: { bound_usd: formatUsd(bound), remaining_usd: formatUsd(remaining) },
    headers: noRetry,
  })
}
