import { expect, test } from 'vitest'
import { perMinute, tryRequests } from '../proofs/shared-limit-trial.ts'

test('two processes keep a key’s limit together, by the upstream’s own count', {
  timeout: 120_000,
}, async () => {
  const overMs = 2000
  const { served, mostInAMinute } = await tryRequests({ requests: 600, overMs, killRedis: false })
  expect(served).toBeGreaterThanOrEqual(perMinute)
  // What was full, and what has refilled by the end of a slow machine's run.
  expect(mostInAMinute).toBeLessThanOrEqual(perMinute + perMinute / 2)
})
