import { type OrganizationId, type ProviderKeyId, systemRandom } from '@latchkey/shared'
import type { BoundProviderKey } from '@latchkey/vault'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openai } from '../../gateway/src/providers/openai/openai.ts'
import type { Candidate } from '../../gateway/src/proxy/authorize.ts'
import { type Failure, RetryPlan, retryAfterMs } from '../../gateway/src/proxy/retry.ts'

const runs = { numRuns: 3000 }
const failure: fc.Arbitrary<Failure> = fc.oneof(
  fc.constant({ kind: 'connection' } as const),
  fc.record({
    kind: fc.constant('status' as const),
    status: fc.constantFrom(400, 401, 404, 429, 500, 503),
    retryAfterMs: fc.option(fc.nat(20_000)),
  }),
)

function candidates(count: number): readonly Candidate[] {
  return Array.from({ length: count }, (_, index) => ({
    providerKey: providerKey(String(index)),
    provider: openai,
    budgets: [],
    shownBudgets: [],
    asks: { together: [], alone: [] },
  }))
}

/** Nothing but its identity matters here. */
function providerKey(id: string): BoundProviderKey {
  return { id: id as ProviderKeyId, name: id, organizationId: '' as OrganizationId } as BoundProviderKey
}

test('a plan ends: no provider key is tried more often than once a round, whatever fails', () => {
  const plans = fc.tuple(
    fc.integer({ min: 1, max: 5 }),
    fc.nat(10),
    fc.array(failure, { minLength: 1, maxLength: 8 }),
  )
  fc.assert(
    fc.property(plans, ([count, retries, failures]) => {
      const keys = candidates(count)
      const plan = new RetryPlan(keys, retries, systemRandom)
      const tried = new Map([[keys[0], 1]])
      for (let attempt = 0; ; attempt++) {
        const next = plan.advance(failures[attempt % failures.length] ?? { kind: 'connection' })
        if (next === null) break
        tried.set(next.candidate, (tried.get(next.candidate) ?? 0) + 1)
        expect(next.delayMs >= 0 && next.delayMs <= 10_000).toBe(true)
        expect(attempt).toBeLessThan(count * (retries + 1))
      }
      for (const times of tried.values()) expect(times).toBeLessThanOrEqual(retries + 1)
    }),
    runs,
  )
})

test('a provider key that was rejected is not tried again, and a request that is at fault is not repeated', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.nat(10),
      fc.array(failure, { maxLength: 60 }),
      (count, retries, failures) => {
        const keys = candidates(count)
        const plan = new RetryPlan(keys, retries, systemRandom)
        const rejected = new Set<Candidate | undefined>()
        let current = keys[0]
        for (const met of failures) {
          if (met.kind === 'status' && met.status === 401) rejected.add(current)
          const next = plan.advance(met)
          if (met.kind === 'status' && (met.status === 400 || met.status === 404)) expect(next).toBeNull()
          if (next === null) return
          expect(rejected.has(next.candidate)).toBe(false)
          current = next.candidate
        }
      },
    ),
    runs,
  )
})

test('what peek tells is where advance goes', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.nat(3),
      fc.array(failure, { maxLength: 20 }),
      (count, retries, failures) => {
        const still = () => new Uint8Array([7])
        const plan = new RetryPlan(candidates(count), retries, still)
        for (const met of failures) {
          const told = plan.peek(met)
          expect(plan.advance(met)).toEqual(told)
          if (told === null) return
        }
      },
    ),
    runs,
  )
})

test('no Retry-After of an upstream makes a wait that is negative or not a number', () => {
  const dates = fc.date({ noInvalidDate: true }).map((date) => date.toUTCString())
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.nat().map(String), dates, fc.double().map(String)), (value) => {
      const wait = retryAfterMs(value, 1_800_000_000_000)
      expect(wait === null || (Number.isFinite(wait) && wait >= 0)).toBe(true)
    }),
    runs,
  )
})
