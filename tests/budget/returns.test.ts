import { randomUUID } from 'node:crypto'
import { type BudgetId, nanoUsd, systemRandom } from '@latchkey/shared'
import { expect, test } from 'vitest'
import { budgetTimes } from '../../gateway/src/budget/budget-times.ts'
import { DatabaseClock } from '../../gateway/src/budget/database-clock.ts'
import { LeaseBook } from '../../gateway/src/budget/lease-book.ts'
import { Returns } from '../../gateway/src/budget/returns.ts'
import { SteppingClock } from '../support/stepping-clock.ts'

/** A book of leases that have all they were granted to spare, one a window. */
function setUp(windows: readonly bigint[]) {
  const clock = new SteppingClock()
  const book = new LeaseBook(clock, systemRandom, new DatabaseClock(clock))
  for (const window of windows) {
    const lease = book.leaseFor(randomUUID() as BudgetId)
    const amount = nanoUsd(10n)
    lease.adopt({ id: lease.id, window, version: 1n, granted: amount, outstanding: amount, state: 'open' }, 0)
  }
  return new Returns(book, clock, budgetTimes)
}

test('one statement returns so many leases and no more, those first that others wait for', () => {
  const returns = setUp([1n, 2n, 3n, 4n, 5n])
  returns.addAll()
  returns.addRecalled(4n)
  const windows = () => returns.take(2).map(({ given }) => given.window)
  expect(windows()).toEqual([4n, 1n])
  expect(windows()).toEqual([2n, 3n])
  expect(windows()).toEqual([5n])
  expect(returns.empty).toBe(true)
})

test('what did not arrive is due again, with the same amount', () => {
  const returns = setUp([1n, 2n])
  returns.addAll()
  const [first] = returns.take(1)
  returns.putBack(first === undefined ? [] : [first])
  expect(returns.take(2).map(({ given }) => given)).toMatchObject([
    { window: 2n, amount: 10n },
    { window: 1n, amount: 10n },
  ])
})
