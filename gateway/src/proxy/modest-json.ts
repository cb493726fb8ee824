import { visitChildren } from './json-children.ts'

const parsedAnyway = 64 * 1024
const modest = { pieces: 250_000, depth: 1000 }

/**
 * Parses JSON that a stranger has written. Undefined for what is none, and for a large text of so many tiny values
 * that it would hold everybody else up: 8 MiB of brackets take more than a second.
 */
export function parseModestJson(bytes: Buffer): unknown {
  if (bytes.length > parsedAnyway) {
    const { pieces, depth } = visitChildren(bytes, ignore, modest)
    if (pieces > modest.pieces || depth > modest.depth) return undefined
  }
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

/** It is the count that matters. */
function ignore(): void {}
