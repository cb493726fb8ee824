import { expect, test } from 'vitest'
import { rateLimitHeaders, refusalHeaders, retryAfterSeconds } from '../../gateway/src/limits/headers.ts'
import type { Limit } from '../../gateway/src/limits/limit.ts'
import type { LimitRefusal, LimitScope, LimitState } from '../../gateway/src/limits/rate-limiter.ts'
import { refusalMessage } from '../../gateway/src/limits/refusal-message.ts'
import { groupScope, keyScope, rpm, slots, tpm } from '../contracts/rate-limiter.ts'

function state(limit: Limit, remaining: number, fullAfterMs: number | null, scope = keyScope): LimitState {
  return { scope, limit, remaining, fullAfterMs }
}

function refusal(limit: Limit, retryAfterMs: number, scope: LimitScope = keyScope): LimitRefusal {
  return { kind: 'refused', scope, limit, retryAfterMs, state: [state(limit, 0, 60_000, scope)] }
}

test('the headers name every policy and tell what is left', () => {
  expect(rateLimitHeaders([state(rpm(60), 12, 47_001), state(tpm(1000), 0, 90_000, groupScope)])).toEqual([
    'ratelimit-policy',
    '"key-rpm";q=60;w=60, "group-tpm";q=1000;qu="tokens";w=60',
    'ratelimit',
    '"key-rpm";r=12;t=48, "group-tpm";r=0;t=90',
  ])
})

test.each([
  [{ unit: 'requests', per: 'hour', limit: 5 }, 'key', '"key-rph";q=5;w=3600'],
  [{ unit: 'requests', per: 'day', limit: 5 }, 'group', '"group-rpd";q=5;w=86400'],
  [{ unit: 'tokens', per: 'day', limit: 5 }, 'key', '"key-tpd";q=5;qu="tokens";w=86400'],
  [{ unit: 'requests', per: 90, limit: 5 }, 'policy', '"policy";q=5;w=90'],
  [{ unit: 'nano-usd', per: 3600, limit: 50_000_000 }, 'policy', '"policy";q=5;qu="cents";w=3600'],
  [
    { unit: 'concurrency', limit: 5 },
    'organization',
    '"organization-concurrency";q=5;qu="concurrent-requests"',
  ],
] satisfies readonly (readonly [Limit, LimitScope['kind'], string])[])(
  '%j of a %s is the policy %s',
  (limit, kind, policy) => {
    expect(rateLimitHeaders([state(limit, 1, null, { organizationId: 'school', kind, id: 'x' })])[1]).toBe(
      policy,
    )
  },
)

test('slots have no time at which they are free again', () => {
  expect(rateLimitHeaders([state(slots(5), 2, null)])[3]).toBe('"key-concurrency";r=2')
})

test('of many limits the three tightest are told, and the policies of all', () => {
  const [, policies, , limits] = rateLimitHeaders([
    state(rpm(100), 90, 1),
    state(tpm(100), 5, 1),
    state(slots(100), 80, null),
    state(rpm(100), 50, 1, groupScope),
    state(tpm(1000), 20, 1, groupScope),
  ])
  expect(policies?.split(', ')).toHaveLength(5)
  expect(limits).toBe('"group-tpm";r=20;t=1, "key-tpm";r=5;t=1, "group-rpm";r=50;t=1')
})

test('a limit that two kinds of scope have in common has a name in each', () => {
  const shared = rpm(60)
  expect(rateLimitHeaders([state(shared, 1, 1), state(shared, 2, 1, groupScope)]).slice(2)).toEqual([
    'ratelimit',
    '"key-rpm";r=1;t=1, "group-rpm";r=2;t=1',
  ])
})

test('limits of provider keys are told to nobody who holds a proxy key', () => {
  const scope: LimitScope = { organizationId: 'school', kind: 'provider_key', id: 'x' }
  const hidden = state(rpm(77), 3, 4_000, scope)
  expect(rateLimitHeaders([hidden])).toEqual([])
  expect(rateLimitHeaders([state(rpm(60), 1, 1), hidden]).join()).not.toContain('77')
  const refused = refusal(rpm(77), 2_500, scope)
  expect(refusalMessage(refused)).toBe(
    'The provider key behind this API key is at its rate limit. Try again in 3 s.',
  )
  expect(refusalHeaders(refused)).toEqual(['retry-after', '3'])
})

test('what is left of a limit in cents is told in whole ones', () => {
  const policy: LimitScope = { organizationId: 'school', kind: 'policy', id: 'x' }
  const cents: Limit = { unit: 'nano-usd', per: 60, limit: 50_000_000 }
  expect(rateLimitHeaders([state(cents, 29_999_999, 500, policy)])[3]).toBe('"policy";r=2;t=1')
  expect(refusalMessage(refusal(cents, 1000, policy))).toBe(
    'By the rate limit that it names, this request’s segment may cost $0.05 in 60 s. Try again in 1 s.',
  )
})

test('a request without limits gets no header', () => {
  expect(rateLimitHeaders([])).toEqual([])
})

test.each([
  [1, 1],
  [1000, 1],
  [1001, 2],
  [59_999.5, 60],
])('%d ms are told as %d s: rounded up, never 0', (retryAfterMs, seconds) => {
  expect(retryAfterSeconds(refusal(rpm(60), retryAfterMs))).toBe(seconds)
  expect(refusalHeaders(refusal(rpm(60), retryAfterMs)).slice(0, 2)).toEqual(['retry-after', String(seconds)])
})

test.each([
  [refusal(rpm(60), 2500), 'This API key may send 60 requests a minute. Try again in 3 s.'],
  [
    refusal({ unit: 'requests', per: 'hour', limit: 1 }, 3_599_000, groupScope),
    'The group of this API key may send 1 request an hour. Try again in 60 min.',
  ],
  [
    refusal({ unit: 'tokens', per: 'day', limit: 5_000_000 }, 80_000_000),
    'This API key may use 5000000 tokens a day. Try again in 23 h.',
  ],
  [refusal(slots(5), 1000), 'This API key may have 5 requests in flight at a time. Try again in 1 s.'],
])('a refusal says whose limit it is, how much and when to try again: $1', (given, message) => {
  expect(refusalMessage(given)).toBe(message)
})
