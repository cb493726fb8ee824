/** What one request used, in tokens; `audioSeconds` for models that are billed by duration. */
export interface Usage {
  readonly inputTokens: number
  readonly cachedInputTokens: number
  readonly audioInputTokens: number
  readonly outputTokens: number
  readonly reasoningTokens: number
  readonly audioSeconds: number
}

export const noUsage: Usage = Object.freeze({
  inputTokens: 0,
  cachedInputTokens: 0,
  audioInputTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
  audioSeconds: 0,
})

/** A usage with the given counts and zero for the rest. */
export function usageOf(counts: Partial<Usage>): Usage {
  return { ...noUsage, ...counts }
}

export function addUsage(left: Usage, right: Usage): Usage {
  return {
    inputTokens: left.inputTokens + right.inputTokens,
    cachedInputTokens: left.cachedInputTokens + right.cachedInputTokens,
    audioInputTokens: left.audioInputTokens + right.audioInputTokens,
    outputTokens: left.outputTokens + right.outputTokens,
    reasoningTokens: left.reasoningTokens + right.reasoningTokens,
    audioSeconds: left.audioSeconds + right.audioSeconds,
  }
}
