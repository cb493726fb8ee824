/** How many prompts a field holds: one text, one list of tokens, or a list of either. */
export function promptsIn(value: unknown): bigint {
  if (!Array.isArray(value) || value.every((one) => typeof one === 'number')) return 1n
  return BigInt(value.length)
}
