/** How many prompts a field holds: one text, one list of tokens, or a list of either. */
export function promptsIn(value: unknown): bigint {
  if (!Array.isArray(value) || value.length === 0 || typeof value[0] === 'number') return 1n
  return BigInt(value.length)
}
