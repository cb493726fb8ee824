/**
 * Ends a proof that has nothing left to do. Left to itself, Node sometimes never comes to its end: with a socket that was
 * reset by `resetAndDestroy`, its teardown turns in `Environment::CleanupHandles` for ever (seen with 26.10).
 */
export function end(code: 0 | 1): never {
  process.exit(code)
}
