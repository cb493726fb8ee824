/** Tokens by what they are billed as. Every token stands in one field only. */
export interface TokenCounts {
  readonly text: number
  readonly audio: number
  readonly image: number
  readonly cachedText: number
  readonly cachedAudio: number
  readonly cachedImage: number
  readonly cacheWrite: number
  readonly cacheWriteLong: number
  readonly outputText: number
  readonly outputAudio: number
  readonly outputImage: number
}

/** What one answer says was used of what costs money. */
export interface Consumption {
  readonly tokens: TokenCounts
  /** Audio that was billed by its length, in milliseconds, rounded up. */
  readonly audioMs: number
  /** The tier that the provider says served the request, as it spells it; null: it did not say. */
  readonly serviceTier: string | null
  /** Calls of hosted tools that cost something each, by the name of their price. */
  readonly toolCalls: ReadonlyMap<string, number>
  /** Tokens of images that the answering model had another one make; null: none. */
  readonly imageTool: TokenCounts | null
}

export const noTokens: TokenCounts = Object.freeze({
  text: 0,
  audio: 0,
  image: 0,
  cachedText: 0,
  cachedAudio: 0,
  cachedImage: 0,
  cacheWrite: 0,
  cacheWriteLong: 0,
  outputText: 0,
  outputAudio: 0,
  outputImage: 0,
})

/** Nothing was used: the base to name what was on. */
export const noConsumption: Consumption = Object.freeze({
  tokens: noTokens,
  audioMs: 0,
  serviceTier: null,
  toolCalls: new Map<string, number>(),
  imageTool: null,
})

/** All tokens of the input, whatever they are billed as. */
export function inputTokens(tokens: TokenCounts): number {
  return (
    tokens.text +
    tokens.audio +
    tokens.image +
    tokens.cachedText +
    tokens.cachedAudio +
    tokens.cachedImage +
    tokens.cacheWrite +
    tokens.cacheWriteLong
  )
}
