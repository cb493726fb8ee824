import { expect, test } from 'vitest'
import { holds, perMinute, tryRequests } from '../proofs/shared-limit-trial.ts'

test('two processes keep a key’s limit together, by the upstream’s own count, and divide it when Redis is killed', {
  timeout: 120_000,
}, async () => {
  const result = await tryRequests({ requests: 800, overMs: 3000, killRedis: true })
  expect(result.served).toBeGreaterThanOrEqual(2 * perMinute)
  expect(result.outage?.served).toBeGreaterThanOrEqual(perMinute)
  expect(holds(result), JSON.stringify(result)).toBe(true)
  // Before the outage what was full, and what refills on a slow machine: two processes that count apart admit twice as much.
  const before = result.served - (result.outage?.served ?? 0)
  expect(before).toBeLessThanOrEqual(perMinute + perMinute / 2)
})
