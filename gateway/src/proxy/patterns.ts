/** Whether `name` is one of `patterns`: exact names, or `prefix*`. Names are compared to the letter. */
export function matchesPattern(patterns: readonly string[], name: string): boolean {
  for (const pattern of patterns) {
    if (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern) return true
  }
  return false
}
