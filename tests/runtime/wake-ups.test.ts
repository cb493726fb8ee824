import { type Database, type OrganizationId, systemClock } from '@latchkey/shared'
import type { Kysely, KyselyPlugin } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { PriceBook } from '../../gateway/src/pricing/price-book.ts'
import { ChangeFeed } from '../../vault/src/changes.ts'
import { startTestDatabase } from '../support/database.ts'
import { recordLog } from '../support/recorded-log.ts'
import { testVault } from '../vault/fixture.ts'

// Who looks until nobody asks any more is asked at every moment between an answer and its rest. More than there are.
const moments = Array.from({ length: 60 }, (_, moment) => moment)

/** Counts the reads of a table as they begin, and tells of an answer so many microtasks after it has come. */
function watched(kysely: Kysely<Database>, table: string) {
  const reads = new WeakSet<object>()
  let begun = 0
  let told: { readonly moment: number; readonly tell: () => void } | null = null
  const plugin: KyselyPlugin = {
    transformQuery({ node, queryId }) {
      const from = node.kind === 'SelectQueryNode' ? JSON.stringify(node.from) : ''
      if (!from.includes(`"${table}"`)) return node
      begun++
      reads.add(queryId)
      return node
    },
    async transformResult({ queryId, result }) {
      if (!reads.has(queryId) || told === null) return result
      const { moment, tell } = told
      told = null
      const wait = (left: number): void => (left === 0 ? tell() : queueMicrotask(() => wait(left - 1)))
      wait(moment)
      return result
    },
  }
  return {
    db: kysely.withPlugin(plugin),
    /** How many reads have begun since `ask` was called again, that long after the answer to what it had led to. */
    async askedAgain(moment: number, ask: () => Promise<unknown>): Promise<() => number> {
      const again = Promise.withResolvers<Promise<unknown>>()
      let before = 0
      const tell = () => {
        before = begun
        again.resolve(ask())
      }
      told = { moment, tell }
      await ask()
      await again.promise
      return () => begun - before
    },
  }
}

test('a poll of the change feed leads to a read that begins after it, whenever it is asked for', async () => {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  const { db, askedAgain } = watched(database.kysely, 'change_counter')
  const feed = new ChangeFeed({ db, listener: undefined, clock: systemClock, log: recordLog() })
  onTestFinished(() => feed.close())
  for (const moment of moments) {
    const since = await askedAgain(moment, () => feed.poll())
    expect(since(), `after ${moment} microtasks`).toBeGreaterThan(0)
  }
})

test('whoever needs the keyring as it is now is led to a look that begins after, whenever that is', async () => {
  const { database, open } = await testVault()
  const { db, askedAgain } = watched(database.kysely, 'deployment')
  const vault = await open({ db })
  for (const moment of moments) {
    const since = await askedAgain(moment, () => vault.verifyAll())
    expect(since(), `after ${moment} microtasks`).toBeGreaterThan(0)
  }
})

test('a change of prices leads to a read that begins after it, whenever it is told', async () => {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  const { db, askedAgain } = watched(database.kysely, 'price_override')
  for (const moment of moments) {
    const told = Promise.withResolvers<() => void>()
    // A new one each time: one that still reads would read again anyway.
    const book = new PriceBook({
      files: [],
      database: db,
      organizationId: '00000000-0000-7000-8000-000000000000' as OrganizationId,
      changes: {
        watch(tell) {
          told.resolve(tell)
          return () => {}
        },
      },
      log: recordLog(),
    })
    await book.start()
    const tell = await told.promise
    const since = await askedAgain(moment, async () => tell())
    await expect.poll(since, { message: `after ${moment} microtasks`, interval: 1 }).toBeGreaterThan(0)
    await book.close()
  }
})
