import type { StoredLimit } from '@latchkey/shared'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { NamedLimit } from '../../gateway/src/limits/limit.ts'
import type {
  LimitAsk,
  LimitDecision,
  LimitGrant,
  LimitRefusal,
  LimitScope,
  LimitState,
  LimitTaken,
  RateLimiter,
} from '../../gateway/src/limits/rate-limiter.ts'
import { LimitsModel, type ModelDecision } from './limits-model.ts'

/** A limiter that knows nobody yet, and its time. */
export interface LimiterUnderTest {
  readonly limiter: RateLimiter
  /** Lets `milliseconds` pass for the limiter. */
  pass(milliseconds: number): void | Promise<void>
}

export const rpm = (limit: number): StoredLimit => ({ unit: 'requests', per: 'minute', limit })
export const tpm = (limit: number): StoredLimit => ({ unit: 'tokens', per: 'minute', limit })
export const slots = (limit: number): StoredLimit => ({ unit: 'concurrency', limit })

const organizationId = 'school'
export const keyScope: LimitScope = { organizationId, kind: 'key', id: 'alice' }
export const providerKeyScope: LimitScope = { organizationId, kind: 'provider_key', id: 'main' }
export const groupScope: LimitScope = { organizationId, kind: 'group', id: 'hackathon' }

export function ofKey(...limits: readonly StoredLimit[]): LimitAsk {
  return { scope: keyScope, limits }
}

export function ofGroup(...limits: readonly StoredLimit[]): LimitAsk {
  return { scope: groupScope, limits }
}

export function ofProviderKey(...limits: readonly StoredLimit[]): LimitAsk {
  return { scope: providerKeyScope, limits }
}

function ofSegment(limit: NamedLimit): LimitAsk {
  return { scope: { organizationId, kind: 'policy', id: 'alice:user' }, limits: [limit] }
}

/** What every adapter of the port promises. `start` makes a new limiter. */
export function rateLimiterContract(
  adapter: string,
  start: () => LimiterUnderTest | Promise<LimiterUnderTest>,
): void {
  describe(`${adapter} rate limiter`, () => {
    test('a limit of N a minute admits a burst of N and then one each Nth of a minute', async () => {
      const { limiter, pass } = await start()
      const asks = [ofKey(rpm(60))]
      for (let sent = 0; sent < 60; sent++) (await taken(limiter, asks)).grant.settle(0)
      const refusal = await refused(limiter, asks)
      expect(refusal).toMatchObject({ scope: keyScope, limit: rpm(60), retryAfterMs: 1000 })
      await pass(999)
      await refused(limiter, asks)
      await pass(1)
      await taken(limiter, asks)
      await refused(limiter, asks)
    })

    test.each([
      { limit: { unit: 'requests', per: 'minute', limit: 7 }, firstAfterMs: 8572 },
      { limit: { unit: 'requests', per: 'hour', limit: 7 }, firstAfterMs: 514_286 },
      { limit: { unit: 'requests', per: 'day', limit: 7 }, firstAfterMs: 12_342_858 },
    ] satisfies readonly { limit: StoredLimit; firstAfterMs: number }[])(
      'the next request is admitted exactly when a refusal says: $limit.limit a $limit.per',
      async ({ limit, firstAfterMs }) => {
        const { limiter, pass } = await start()
        const asks = [ofKey(limit)]
        for (let sent = 0; sent < limit.limit; sent++) await taken(limiter, asks)
        expect((await refused(limiter, asks)).retryAfterMs).toBe(firstAfterMs)
        await pass(firstAfterMs - 1)
        expect((await refused(limiter, asks)).retryAfterMs).toBe(1)
        await pass(1)
        await taken(limiter, asks)
      },
    )

    test('tokens are charged by what a request can use and corrected by what it used', async () => {
      const { limiter } = await start()
      const asks = [ofKey(tpm(1000))]
      const first = await taken(limiter, asks, 600)
      expect(remaining(first.state)).toEqual([400])
      await refused(limiter, asks, 401)
      first.grant.settle(100)
      expect(remaining((await taken(limiter, asks, 900)).state)).toEqual([0])
    })

    test('what was used beyond what was taken is a debt', async () => {
      const { limiter, pass } = await start()
      const asks = [ofKey(tpm(1000))]
      const { grant } = await taken(limiter, asks, 100)
      grant.settle(2000)
      const refusal = await refused(limiter, asks, 1)
      expect(refusal.retryAfterMs).toBe(60_060)
      expect(remaining(refusal.state)).toEqual([0])
      await refused(limiter, asks, 0)
      await pass(60_000)
      await refused(limiter, asks, 1)
      await taken(limiter, asks, 0)
      await pass(60)
      await taken(limiter, asks, 1)
    })

    test('a cost above the limit is admitted from a full limit alone, as debt', async () => {
      const { limiter, pass } = await start()
      const asks = [ofKey(tpm(1000))]
      await taken(limiter, asks, 1)
      expect((await refused(limiter, asks, 5000)).retryAfterMs).toBe(60)
      await pass(60)
      await taken(limiter, asks, 5000)
      expect((await refused(limiter, asks, 1)).retryAfterMs).toBe(4 * 60_000 + 60)
    })

    test('nothing that comes back lifts a limit above full', async () => {
      const { limiter, pass } = await start()
      const asks = [ofKey(rpm(10), tpm(1000))]
      const long = [await taken(limiter, asks, 600), await taken(limiter, asks, 400)]
      await pass(60_000)
      long[0]?.grant.giveBack()
      long[1]?.grant.settle(0)
      expect(remaining((await taken(limiter, asks, 0)).state)).toEqual([9, 1000])
    })

    test('a request that is not sent gives back its place, its tokens and its slot', async () => {
      const { limiter } = await start()
      const asks = [ofKey(rpm(1), tpm(1000), slots(1))]
      const { grant } = await taken(limiter, asks, 1000)
      await refused(limiter, asks, 1)
      grant.giveBack()
      expect(remaining((await taken(limiter, asks, 1000)).state)).toEqual([0, 0, 0])
    })

    test('a request that was sent keeps its place and frees its slot', async () => {
      const { limiter } = await start()
      const asks = [ofKey(rpm(2), slots(1))]
      const { grant } = await taken(limiter, asks)
      expect(await refused(limiter, asks)).toMatchObject({ limit: slots(1), retryAfterMs: 1000 })
      grant.settle(0)
      expect(remaining((await taken(limiter, asks)).state)).toEqual([0, 0])
    })

    test('a refusal by one limit takes nothing from any other, in any scope', async () => {
      const { limiter } = await start()
      const both = [ofKey(rpm(5), slots(5)), ofGroup(rpm(1))]
      await taken(limiter, both)
      for (let tried = 0; tried < 10; tried++)
        expect((await refused(limiter, both)).scope).toEqual(groupScope)
      expect(remaining((await taken(limiter, [ofKey(rpm(5), slots(5))])).state)).toEqual([3, 3])
    })

    test('of several limits that refuse, the one that lasts longest is named', async () => {
      const { limiter } = await start()
      const asks = [ofKey(rpm(1), slots(1)), ofGroup(rpm(2), { unit: 'requests', per: 'hour', limit: 1 })]
      await taken(limiter, asks)
      expect(await refused(limiter, asks)).toMatchObject({ scope: groupScope, retryAfterMs: 3_600_000 })
    })

    test('keys of a group share its limit, and other keys have theirs', async () => {
      const { limiter } = await start()
      const keyed = (id: string): LimitAsk => ({
        scope: { organizationId, kind: 'key', id },
        limits: [rpm(2)],
      })
      await taken(limiter, [keyed('alice'), ofGroup(rpm(3))])
      await taken(limiter, [keyed('alice'), ofGroup(rpm(3))])
      await taken(limiter, [keyed('bob'), ofGroup(rpm(3))])
      expect((await refused(limiter, [keyed('bob'), ofGroup(rpm(3))])).scope).toEqual(groupScope)
      await taken(limiter, [keyed('bob')])
      await refused(limiter, [keyed('alice')])
    })

    test('key, group and provider key are taken together, or none of them', async () => {
      const { limiter } = await start()
      const all = [ofKey(rpm(5)), ofGroup(rpm(5)), ofProviderKey(rpm(1), slots(1))]
      const { grant } = await taken(limiter, all)
      for (let tried = 0; tried < 3; tried++)
        expect((await refused(limiter, all)).scope).toEqual(providerKeyScope)
      grant.giveBack()
      expect(remaining((await taken(limiter, all)).state)).toEqual([4, 4, 0, 0])
    })

    test('a part that is split off ends by itself: each limit and slot once', async () => {
      const { limiter } = await start()
      const all = [ofKey(rpm(9), tpm(100), slots(2)), ofProviderKey(rpm(9), tpm(100), slots(2))]
      const first = await taken(limiter, all, 60)
      const part = first.grant.split('provider_key')
      part.settle(10)
      expect(remaining((await taken(limiter, [ofProviderKey(rpm(9), tpm(100), slots(2))], 0)).state)).toEqual(
        [7, 90, 1],
      )
      expect(() => part.giveBack()).toThrow()
      expect(remaining((await taken(limiter, [ofKey(rpm(9), tpm(100), slots(2))], 0)).state)).toEqual([
        7, 40, 0,
      ])
      first.grant.giveBack()
      expect(remaining((await taken(limiter, [ofKey(rpm(9), tpm(100), slots(2))], 0)).state)).toEqual([
        7, 100, 0,
      ])
      const none = (await taken(limiter, [ofKey(rpm(9))])).grant.split('provider_key')
      none.settle(3)
      none.giveBack()
    })

    test('a limit of money takes what a request can cost, to the nano-dollar, and is corrected by what it did', async () => {
      const { limiter, pass } = await start()
      const asks = [ofSegment({ unit: 'nano-usd', per: 100, limit: 50_000_000 })]
      const first = await limiter.take(asks, 7, 50_000_000)
      if (first.kind === 'refused') throw new Error('refused')
      expect(await limiter.take(asks, 0, 1)).toMatchObject({ kind: 'refused', retryAfterMs: 1 })
      first.grant.settle(7, 49_999_999)
      expect(await limiter.take(asks, 0, 2)).toMatchObject({ kind: 'refused' })
      expect(await limiter.take(asks, 0, 1)).toMatchObject({ kind: 'taken', state: [{ remaining: 0 }] })
      await pass(100_000)
      const unknown = await limiter.take(asks, 0, 30_000_000)
      if (unknown.kind === 'refused') throw new Error('refused')
      unknown.grant.settle(null, null)
      expect(await limiter.take(asks, 0, 0)).toMatchObject({ state: [{ remaining: 20_000_000 }] })
    })

    test('a limit over seconds of its own refills over these', async () => {
      const { limiter, pass } = await start()
      const asks = [ofSegment({ unit: 'requests', per: 7, limit: 2 })]
      await taken(limiter, asks)
      await taken(limiter, asks)
      expect((await refused(limiter, asks)).retryAfterMs).toBe(3_500)
      await pass(3_500)
      await taken(limiter, asks)
    })

    test('of requests that come at once no more are admitted than the limits allow', async () => {
      const { limiter } = await start()
      const asks = [ofKey(rpm(100), slots(10)), ofGroup(rpm(7))]
      const decisions = await Promise.all(Array.from({ length: 50 }, () => limiter.take(asks, 0)))
      expect(decisions.filter(({ kind }) => kind === 'taken')).toHaveLength(7)
    })

    test('a scope of another kind or organization with the same id is another scope', async () => {
      const { limiter } = await start()
      const asked = (kind: LimitScope['kind'], organization = organizationId): LimitAsk[] => [
        { scope: { organizationId: organization, kind, id: 'a' }, limits: [rpm(1)] },
      ]
      await taken(limiter, asked('key'))
      await taken(limiter, asked('group'))
      await taken(limiter, asked('key', 'another'))
      await refused(limiter, asked('group'))
    })

    test('a request without limits is admitted, and says nothing about any', async () => {
      const { limiter } = await start()
      for (const asks of [[], [ofKey(), ofGroup()]]) {
        const decision = await taken(limiter, asks, 1_000_000)
        expect(decision.state).toEqual([])
        decision.grant.settle(5)
      }
    })

    test('the state tells what is left after the request, in the order of the asks', async () => {
      const { limiter, pass } = await start()
      const asks = [ofKey(rpm(60), slots(5)), ofGroup(tpm(1000))]
      await taken(limiter, asks, 10)
      await pass(100)
      expect((await taken(limiter, asks, 250)).state).toEqual([
        { scope: keyScope, limit: rpm(60), remaining: 58, fullAfterMs: 1900 },
        { scope: keyScope, limit: slots(5), remaining: 3, fullAfterMs: null },
        { scope: groupScope, limit: tpm(1000), remaining: 741, fullAfterMs: 15_500 },
      ])
    })

    test('a limit that is changed keeps the share that is used, and is never full for it', async () => {
      const { limiter, pass } = await start()
      for (let sent = 0; sent < 45; sent++) (await taken(limiter, [ofKey(rpm(60))])).grant.settle(0)
      expect(remaining((await taken(limiter, [ofKey(rpm(600))])).state)).toEqual([149])
      for (let sent = 0; sent < 149; sent++) await taken(limiter, [ofKey(rpm(600))])
      await refused(limiter, [ofKey(rpm(600))])
      for (const limit of [60, 1, 1_000_000]) await refused(limiter, [ofKey(rpm(limit))])
      await pass(1000)
      expect(remaining((await taken(limiter, [ofKey(rpm(60))])).state)).toEqual([0])
    })

    test('what is used of a limit that is lowered is rounded up', async () => {
      const { limiter } = await start()
      await taken(limiter, [ofKey(rpm(60))])
      expect(remaining((await taken(limiter, [ofKey(rpm(7))])).state)).toEqual([5])
    })

    test('what comes back after a limit has changed is the share that was taken', async () => {
      const { limiter } = await start()
      const { grant } = await taken(limiter, [ofKey(tpm(1000))], 800)
      await taken(limiter, [ofKey(tpm(100))], 20)
      await refused(limiter, [ofKey(tpm(100))], 1)
      grant.giveBack()
      expect(remaining((await taken(limiter, [ofKey(tpm(100))], 80)).state)).toEqual([0])
    })

    test('a limit that is taken away and set again is not full for it', async () => {
      const { limiter, pass } = await start()
      for (let sent = 0; sent < 10; sent++) (await taken(limiter, [ofKey(rpm(10))])).grant.settle(0)
      await taken(limiter, [ofKey()])
      await taken(limiter, [ofKey(tpm(5))], 1)
      await refused(limiter, [ofKey(rpm(10))])
      await pass(6000)
      await taken(limiter, [ofKey(rpm(10))])
      await refused(limiter, [ofKey(rpm(10))])
    })

    test('a new limit on concurrency counts what is in flight already', async () => {
      const { limiter } = await start()
      const first = await taken(limiter, [ofKey(rpm(100))])
      await refused(limiter, [ofKey(rpm(100), slots(1))])
      first.grant.settle(0)
      await taken(limiter, [ofKey(rpm(100), slots(1))])
    })

    test('a grant ends once', async () => {
      const { limiter } = await start()
      const asks = [ofKey(slots(2))]
      const { grant } = await taken(limiter, asks)
      await taken(limiter, asks)
      grant.settle(0)
      expect(() => grant.settle(0)).toThrow('ended twice')
      expect(() => grant.giveBack()).toThrow('ended twice')
      await taken(limiter, asks)
      await refused(limiter, asks)
    })

    test.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])(
      'tokens that are no whole number are an error and open no limit: %s',
      async (tokens) => {
        const { limiter } = await start()
        const asks = [ofKey(tpm(100), slots(1))]
        await expect(async () => limiter.take(asks, tokens)).rejects.toThrow(RangeError)
        const { grant } = await taken(limiter, asks, 100)
        expect(() => grant.settle(tokens)).toThrow(RangeError)
        expect(await refused(limiter, asks, 1)).toMatchObject({ limit: tpm(100), retryAfterMs: 600 })
      },
    )

    test('a provider that claims more tokens than there are numbers for puts its key in debt, and breaks nothing', async () => {
      const { limiter } = await start()
      const asks = [ofKey(tpm(100), slots(1))]
      const { grant } = await taken(limiter, asks, 10)
      grant.settle(2 * Number.MAX_SAFE_INTEGER)
      expect(await refused(limiter, asks, 1)).toMatchObject({ limit: tpm(100) })
      expect((await refused(limiter, asks, 1)).retryAfterMs).toBeGreaterThan(1e15)
    })

    test('it decides as exact fractions do, whatever is taken, settled and given back in whatever order', async () => {
      await fc.assert(
        fc.asyncProperty(limitsOfTwo, fc.array(step, { maxLength: 60 }), async (limits, steps) => {
          const { limiter, pass } = await start()
          const model = new LimitsModel(limits)
          const open: {
            readonly grant: LimitGrant
            readonly scopes: readonly number[]
            readonly tokens: number
          }[] = []
          for (const { kind, scopes, tokens, which, milliseconds } of steps) {
            if (kind === 'pass') {
              await pass(milliseconds)
              model.pass(milliseconds)
              continue
            }
            if (kind === 'take') {
              const asks = scopes.map((index) => ({ scope: modelScope(index), limits: limits[index] ?? [] }))
              const decision = await limiter.take(asks, tokens)
              expect(asModelled(decision)).toEqual(model.take(scopes, tokens))
              if (decision.kind === 'taken') open.push({ grant: decision.grant, scopes, tokens })
              continue
            }
            const [ended] = open.splice(which % Math.max(1, open.length), 1)
            if (ended === undefined) continue
            if (kind === 'settle') {
              ended.grant.settle(tokens)
              model.settle(ended.scopes, ended.tokens, tokens)
            } else {
              ended.grant.giveBack()
              model.giveBack(ended.scopes, ended.tokens)
            }
          }
        }),
        { numRuns: 500 },
      )
    })

    test('no stretch of time admits more than a burst and what refills in it, less what was given back', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 100 }),
          fc.array(step, { maxLength: 80 }),
          async (limit, steps) => {
            const { limiter, pass } = await start()
            const open: { readonly grant: LimitGrant; readonly amount: number }[] = []
            const flow: { readonly at: number; readonly amount: number }[] = []
            let now = 0
            for (const { kind, tokens, which, milliseconds } of steps) {
              if (kind === 'pass') {
                now += milliseconds
                await pass(milliseconds)
              } else if (kind === 'take') {
                const amount = Math.min(tokens, limit)
                const decision = await limiter.take([ofKey(tpm(limit))], amount)
                if (decision.kind === 'refused') continue
                open.push({ grant: decision.grant, amount })
                flow.push({ at: now, amount })
              } else {
                const [ended] = open.splice(which % Math.max(1, open.length), 1)
                if (ended === undefined) continue
                const kept = kind === 'settle' ? Math.min(tokens, ended.amount) : 0
                if (kind === 'settle') ended.grant.settle(kept)
                else ended.grant.giveBack()
                flow.push({ at: now, amount: kept - ended.amount })
              }
            }
            for (const [index, first] of flow.entries()) {
              let sum = 0
              for (const { at, amount } of flow.slice(index)) {
                sum += amount
                expect(sum).toBeLessThanOrEqual(limit + ((at - first.at) * limit) / 60_000 + 1e-9)
              }
            }
          },
        ),
        { numRuns: 300 },
      )
    })
  })
}

async function taken(limiter: RateLimiter, asks: readonly LimitAsk[], tokens = 0): Promise<LimitTaken> {
  const decision = await limiter.take(asks, tokens)
  if (decision.kind === 'taken') return decision
  throw new Error(`refused by ${JSON.stringify(decision.limit)} for ${decision.retryAfterMs} ms`)
}

async function refused(limiter: RateLimiter, asks: readonly LimitAsk[], tokens = 0): Promise<LimitRefusal> {
  const decision = await limiter.take(asks, tokens)
  if (decision.kind === 'refused') return decision
  throw new Error('taken')
}

function remaining(state: readonly LimitState[]): readonly number[] {
  return state.map((limit) => limit.remaining)
}

function modelScope(index: number): LimitScope {
  return index === 0 ? keyScope : groupScope
}

function asModelled(decision: LimitDecision): ModelDecision {
  if (decision.kind === 'taken') return { kind: 'taken', left: remaining(decision.state) }
  const { scope, limit, retryAfterMs } = decision
  return { kind: 'refused', scope: scope.kind === 'key' ? 0 : 1, limit, retryAfterMs }
}

const amount = fc.integer({ min: 1, max: 100 })
const limitsOfOne: fc.Arbitrary<readonly StoredLimit[]> = fc
  .tuple(
    fc.option(amount.map(rpm)),
    fc.option(amount.map(tpm)),
    fc.option(amount.map((limit): StoredLimit => ({ unit: 'tokens', per: 'day', limit: limit * 1_000_003 }))),
    fc.option(fc.integer({ min: 1, max: 5 }).map(slots)),
  )
  .map((limits) => limits.filter((limit) => limit !== null))
const limitsOfTwo = fc.tuple(limitsOfOne, limitsOfOne)

/** One thing that may happen; which of the fields count depends on its kind. */
const step = fc.record({
  kind: fc.constantFrom('take', 'take', 'settle', 'giveBack', 'pass'),
  scopes: fc.constantFrom([0], [1], [0, 1]),
  tokens: fc.oneof(fc.integer({ min: 0, max: 120 }), fc.integer({ min: 0, max: 200_000_000 })),
  which: fc.nat(50),
  milliseconds: fc.oneof(fc.nat(100), fc.nat(20_000), fc.nat(200_000_000)),
})
