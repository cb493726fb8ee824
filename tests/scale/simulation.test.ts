import { type BudgetId, nanoUsd } from '@latchkey/shared'
import { describe, expect, test } from 'vitest'
import type { Ask, LeaseChange, Need } from '../../gateway/src/budget/change-leases.ts'
import { beginEpoch } from '../../gateway/src/budget/epoch.ts'
import {
  addBudget,
  addOrganization,
  changeLeasesWithWindows,
  newEpochId,
  newLeaseId,
} from '../budget/books.ts'
import { Bank } from '../proofs/scale/bank.ts'
import { seededNumbers } from '../proofs/scale/random-numbers.ts'
import { checkedScene, type Scene } from '../proofs/scale/scene.ts'
import { simulate } from '../proofs/scale/simulate.ts'
import { startTestDatabase } from '../support/database.ts'

const scene: Scene = { ...checkedScene, keys: 200, requestsPerSecond: 400, seconds: 12, requestMs: 1_000 }

describe('the simulation of scale', () => {
  test('its bank grants and takes back what Postgres does, over two hundred statements', async () => {
    const database = await startTestDatabase()
    try {
      const { pool } = database
      const organization = await addOrganization(pool)
      const bank = new Bank()
      const epoch = newEpochId()
      await beginEpoch(pool, epoch)
      const budgets: BudgetId[] = []
      for (const limit of [4_000_000n, 90_000_000n, 2_000_000_000n]) {
        const budget = await addBudget(pool, organization, limit)
        bank.addBudget(budget, limit)
        budgets.push(budget)
      }
      const leases = new Map(
        budgets.map((budget) => [budget, { id: newLeaseId(), version: 0n, granted: 0n }]),
      )
      const windows = new Map<BudgetId, bigint>()
      const random = seededNumbers(3)
      let granted = 0
      for (let statement = 0; statement < 200; statement++) {
        const change = changeOf(statement)
        const real = await changeLeasesWithWindows(pool, change)
        const { result } = bank.change(change, 0)
        if (real.kind !== 'done' || result.kind !== 'done') throw new Error(`${real.kind}, ${result.kind}`)
        const figures = (standings: typeof real.standings) =>
          standings.map(({ lease, row, window }) => ({
            lease,
            row: row === null ? null : [row.version, row.granted, row.outstanding, row.state],
            window: window === null ? null : [window.limit, window.settled, window.leased],
          }))
        expect(figures(result.standings)).toEqual(figures(real.standings))
        for (const { lease: id, row, window } of real.standings) {
          const known = [...leases.values()].find((lease) => lease.id === id)
          if (row === null || known === undefined) continue
          if (row.granted > known.granted) granted++
          known.version = row.version
          known.granted = row.granted
          if (window !== null) windows.set(window.budget, window.id)
        }
      }
      // What nothing was ever granted of proves nothing.
      expect(granted).toBeGreaterThan(50)

      function changeOf(statement: number): LeaseChange {
        const returning = statement % 3 === 2
        const asks: readonly Ask[] = budgets.map((budget) => {
          const { id, version, granted: all } = lease(budget)
          const spare = nanoUsd(BigInt(Math.floor(random() * Number(all))))
          const appetite = nanoUsd(BigInt(Math.floor(random() * 40_000_000)))
          return { budget, lease: id, version, spare, appetite }
        })
        const needs: readonly Need[] = Array.from({ length: 1 + Math.floor(random() * 4) }, () => ({
          budgets: budgets.filter(() => random() < 0.7),
          amount: nanoUsd(BigInt(1 + Math.floor(random() * 400_000))),
        })).filter((need) => need.budgets.length > 0)
        const returns = budgets.flatMap((budget) => {
          const { id, version, granted: all } = lease(budget)
          const window = windows.get(budget)
          if (window === undefined) return []
          const amount = nanoUsd(BigInt(Math.floor(random() * Number(all))))
          return [{ lease: id, window, version, amount, close: false, announced: false }]
        })
        const given = returning ? { returns, asks: [], needs: [] } : { returns: [], asks, needs }
        return { epoch, processes: 1 + (statement % 4), ...given }
      }

      function lease(budget: BudgetId) {
        const known = leases.get(budget)
        if (known === undefined) throw new Error('each budget has a lease')
        return known
      }
    } finally {
      await database.close()
    }
  })

  test('overspends no budget, and every request is recorded, refused or still in flight', () => {
    for (const spread of ['uniform', 'zipf'] as const) {
      const { steady, overspent, leases } = simulate({ ...scene, spread }, 5)
      expect(overspent).toBe(0)
      expect(steady.refusedByArgon2).toBe(0)
      const open = steady.requests - steady.records - steady.refusedByBudget
      // Those of the last second, and what waits for its batch.
      expect(open).toBeGreaterThan(0)
      expect(open).toBeLessThan(scene.requestsPerSecond)
      expect(leases.held).toBeGreaterThan(0n)
      expect(leases.spare).toBeGreaterThan(0n)
      expect(steady.leaseStatements).toBeLessThan(steady.requests / 2)
    }
  })

  test('says the same again for the same seed', () => {
    expect(simulate(scene, 9).steady).toEqual(simulate(scene, 9).steady)
    expect(simulate(scene, 9).steady).not.toEqual(simulate(scene, 10).steady)
  })

  test('keys without limits of their own share the few calls of their groups', () => {
    const limited = simulate(scene, 2).steady
    const unlimited = simulate({ ...scene, keyLimits: false }, 2).steady
    expect(limited.redisQuestions).toBe(limited.requests)
    expect(unlimited.redisCalls).toBeLessThan(unlimited.requests / 4)
  })

  test('with nothing in memory, more new keys than argon2 can follow are told that it is overloaded', () => {
    const cold = { ...scene, keys: 20_000, argon2: { ms: 16, atOnce: 1 } }
    const { steady, lastOverloadedAt } = simulate(cold, 4)
    expect(steady.refusedByArgon2).toBeGreaterThan(0)
    expect(lastOverloadedAt).toBeGreaterThan(0)
    // One core, in milliseconds, and a run that has begun, of each of two processes.
    expect(steady.argon2Runs).toBeLessThanOrEqual((2 * (scene.seconds * 1000)) / 16 + 2)
  })
})
