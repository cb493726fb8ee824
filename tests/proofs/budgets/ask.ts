import { type NanoUsd, nanoUsd } from '@latchkey/shared'
import type { ProofKey } from './deployment.ts'

/** A model whose prices are whole nano-dollars for a token, so that sums of requests are not rounded. */
export const proofModel = 'gpt-4.1-nano'
// Source: https://developers.openai.com/api/docs/pricing; the checker's own arithmetic, on purpose not the gateway's.
const inputPrice = 100n
const outputPrice = 400n
/** What the bound counts for instructions that a provider adds to a conversation; see docs/pricing.md. */
const hiddenTokens = 256

/** A request of a proof, and how its upstream is to answer. */
export interface Ask {
  readonly key: ProofKey
  readonly prompt: string
  /** The output cap that the client gives; null: none, so the gateway sends one. */
  readonly maxTokens: number | null
  /** Tokens that the upstream writes, as far as the cap lets it. */
  readonly outputTokens: number
  /** Tokens that the upstream says it has read: as many as the bound allows, as it counts itself, or so many. */
  readonly inputTokens: 'most' | 'counted' | number
  readonly stream: boolean
  readonly latencyMs: number
  /** Tokens a second of a stream; 0: as fast as possible. */
  readonly pace: number
  /** As the header `x-simulator-fault` spells it; see docs/simulator.md. */
  readonly fault: string | null
  /** When the client leaves; null: it stays to the end. */
  readonly leaves: Leaving | null
}

/** When a client leaves: so long after it has sent its request, once something has happened, or after so many events of the answer. */
export type Leaving =
  | { readonly afterMs: number }
  | { readonly once: () => Promise<void> }
  | { readonly afterEvents: number }

/** A small request that is answered whole, at once and with less than its bound. */
export function plainAsk(key: ProofKey): Ask {
  return {
    key,
    prompt: 'How much is the fish?',
    maxTokens: 40,
    outputTokens: 10,
    inputTokens: 'counted',
    stream: false,
    latencyMs: 0,
    pace: 0,
    fault: null,
    leaves: null,
  }
}

/** A request that costs exactly its bound. */
export function dearestAsk(key: ProofKey): Ask {
  return { ...plainAsk(key), outputTokens: 40, inputTokens: 'most' }
}

/** The body as it is sent. */
export function bodyOf({ prompt, maxTokens, stream }: Ask): string {
  return JSON.stringify({
    model: proofModel,
    messages: [{ role: 'user', content: prompt }],
    ...(maxTokens === null ? {} : { max_tokens: maxTokens }),
    ...(stream ? { stream: true } : {}),
  })
}

/** What tells the upstream how to answer. */
export function directionsOf(ask: Ask): Record<string, string> {
  return {
    'x-simulator-tokens': String(ask.outputTokens),
    'x-simulator-latency': String(ask.latencyMs),
    'x-simulator-pace': String(ask.pace),
    ...(ask.inputTokens === 'counted' ? {} : { 'x-simulator-input': String(inputOf(ask, ask.inputTokens)) }),
    ...(ask.fault === null ? {} : { 'x-simulator-fault': ask.fault }),
  }
}

/** The most that a request with an output cap of its own can cost. */
export function boundOf(ask: Ask): NanoUsd {
  return priceOf({ inputTokens: mostInput(ask), outputTokens: ask.maxTokens ?? 0 })
}

/** What tokens cost. */
export function priceOf(usage: { readonly inputTokens: number; readonly outputTokens: number }): NanoUsd {
  return nanoUsd(BigInt(usage.inputTokens) * inputPrice + BigInt(usage.outputTokens) * outputPrice)
}

function inputOf(ask: Ask, tokens: 'most' | number): number {
  return tokens === 'most' ? mostInput(ask) : tokens
}

function mostInput(ask: Ask): number {
  return Buffer.byteLength(bodyOf(ask)) + hiddenTokens
}
