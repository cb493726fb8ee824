import type { StoredPolicy } from '@latchkey/shared'
import { openPolicy, parsePolicy } from '@latchkey/vault'
import { describe, expect, test } from 'vitest'
import { canonicalPolicy } from '../../vault/src/policy.ts'

const full: StoredPolicy = {
  models: ['gpt-5-nano', 'gpt-4o*', '*'],
  endpoints: ['/v1/*'],
  allowIps: ['10.0.0.0/8'],
  retries: 2,
  limits: [
    { unit: 'requests', per: 'minute', limit: 60 },
    { unit: 'tokens', per: 'day', limit: 1_000_000 },
    { unit: 'concurrency', limit: 4 },
  ],
  fit: 'clamp',
  capture: true,
}

describe('a policy', () => {
  test('is read and frozen to its leaves', () => {
    const parsed = parsePolicy(full)
    if (parsed.kind !== 'policy') throw new Error(parsed.message)
    expect(parsed.policy).toEqual(full)
    const { policy } = parsed
    for (const part of [policy, policy.models, policy.limits, ...policy.limits])
      expect(Object.isFrozen(part)).toBe(true)
    expect(parsePolicy(openPolicy).kind).toBe('policy')
  })

  const refusals: readonly (readonly [string, unknown, string])[] = [
    ['nothing', null, ''],
    ['a text', 'all', ''],
    ['an unknown field', { ...full, admin: true }, ''],
    ['a missing field', { models: null, endpoints: null, allowIps: null }, 'retries'],
    ['a star inside a model', { ...full, models: ['gpt-*-mini'] }, 'models.0'],
    ['an empty model', { ...full, models: [''] }, 'models.0'],
    ['a model with a space', { ...full, models: ['gpt 4'] }, 'models.0'],
    ['an endpoint without a slash', { ...full, endpoints: ['v1/models'] }, 'endpoints.0'],
    ['an endpoint with a query', { ...full, endpoints: ['/v1/models?x'] }, 'endpoints.0'],
    ['an address that is no block', { ...full, allowIps: ['10.0.0.0/40'] }, 'allowIps.0'],
    ['a host name for a block', { ...full, allowIps: ['localhost'] }, 'allowIps.0'],
    ['a fraction of a retry', { ...full, retries: 0.5 }, 'retries'],
    ['too many retries', { ...full, retries: 11 }, 'retries'],
    ['fewer retries than none', { ...full, retries: -1 }, 'retries'],
    [
      'a limit of nothing',
      { ...full, limits: [{ unit: 'requests', per: 'minute', limit: 0 }] },
      'limits.0.limit',
    ],
    [
      'a limit per second',
      { ...full, limits: [{ unit: 'requests', per: 'second', limit: 1 }] },
      'limits.0.per',
    ],
    ['a limit of an unknown unit', { ...full, limits: [{ unit: 'dollars', limit: 1 }] }, 'limits.0.unit'],
    [
      'concurrency over a time',
      { ...full, limits: [{ unit: 'concurrency', per: 'day', limit: 1 }] },
      'limits.0',
    ],
    [
      'two limits of one kind',
      {
        ...full,
        limits: [
          { unit: 'tokens', per: 'day', limit: 1 },
          { unit: 'tokens', per: 'day', limit: 2 },
        ],
      },
      'limits',
    ],
    ['another way to fit', { ...full, fit: 'squeeze' }, 'fit'],
  ]
  for (const [what, value, path] of refusals)
    test(`refuses ${what}, and names the field`, () => {
      expect(parsePolicy(value)).toMatchObject({ kind: 'invalid', path })
    })

  test('that was stored before there were limits has none, and refuses what does not fit', () => {
    const { limits: _limits, fit: _fit, ...stored } = full
    expect(parsePolicy(stored)).toMatchObject({
      kind: 'policy',
      policy: { ...stored, limits: [], fit: 'refuse' },
    })
  })

  test('has one canonical text, whatever order its fields are in', () => {
    const { retries, ...rest } = full
    expect(canonicalPolicy({ retries, ...rest })).toBe(canonicalPolicy(full))
    expect(canonicalPolicy({ ...full, models: full.models?.toReversed() ?? null })).not.toBe(
      canonicalPolicy(full),
    )
  })
})
