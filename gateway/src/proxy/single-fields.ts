import { fieldsOfBound } from '../pricing/bound/bound-request.ts'

/**
 * The fields of a body that decide something here: models, streaming, what a request can cost. Each may stand once
 * only, spelled as it is here: the provider might read the other one.
 */
export const singleFields: ReadonlySet<string> = new Set([
  ...['model', 'models', 'stream', 'stream_options', 'prompt', 'tools'],
  ...fieldsOfBound,
])

/**
 * Which of `names` a provider may take `name` for: itself, or one that differs in case only, which whatever is
 * built on Go's encoding/json ignores. Null: none.
 */
export function fieldSpelled(name: string, names: ReadonlySet<string>): string | null {
  if (names.has(name)) return name
  // Folding takes time, and there may be very many names.
  if (name.length > longestName || !/[A-Z\u0080-\uffff]/.test(name)) return null
  // Upper case first: "ſ" is another spelling of "s" that has no lower case of its own.
  const folded = name.toUpperCase().toLowerCase()
  return names.has(folded) ? folded : null
}

const longestName = 32
