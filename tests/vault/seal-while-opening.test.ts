import type { Database } from '@latchkey/shared'
import type { Kysely, KyselyPlugin, UnknownRow } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { recordLog } from '../support/recorded-log.ts'
import { testVault } from './fixture.ts'

/** An answer of the database that has not been passed on yet. */
interface Held {
  /** Resolves once it is there. */
  readonly reached: Promise<void>
  release(): void
}

/** A way to the database on which the next answer to a read of a table, with such a row, can be kept back. */
function heldAnswers(kysely: Kysely<Database>) {
  const tables = new WeakMap<object, string>()
  const holds: {
    readonly table: string
    readonly isIt: (row: UnknownRow) => boolean
    readonly reached: () => void
    readonly released: Promise<void>
  }[] = []
  const plugin: KyselyPlugin = {
    transformQuery({ node, queryId }) {
      const from = node.kind === 'SelectQueryNode' ? JSON.stringify(node.from) : ''
      const table = ['deployment', 'ring_key'].find((name) => from.includes(`"${name}"`))
      if (table !== undefined) tables.set(queryId, table)
      return node
    },
    async transformResult({ queryId, result }) {
      const index = holds.findIndex(
        ({ table, isIt }) => table === tables.get(queryId) && result.rows.some(isIt),
      )
      const [hold] = index === -1 ? [] : holds.splice(index, 1)
      hold?.reached()
      await hold?.released
      return result
    },
  }
  return {
    db: kysely.withPlugin(plugin),
    hold(table: 'deployment' | 'ring_key', isIt: (row: UnknownRow) => boolean = () => true): Held {
      const reached = Promise.withResolvers<void>()
      const released = Promise.withResolvers<void>()
      holds.push({ table, isIt, reached: reached.resolve, released: released.promise })
      onTestFinished(() => released.resolve())
      return { reached: reached.promise, release: released.resolve }
    },
  }
}

/** A vault whose reads can be kept back, and another one of the same deployment. */
async function two() {
  const { vault: other, database, open } = await testVault()
  const { db, hold } = heldAnswers(database.kysely)
  const log = recordLog()
  const vault = await open({ db, log })
  return {
    ...{ vault, other, hold, pool: database.pool },
    opened: () =>
      log.events
        .map(({ event }) => event)
        .filter((event) => /^(vault.unsealed|keyring.followed)$/.test(event)),
    /** Another process has changed the ring keys: `vault` reads them again. */
    async changeKeyring() {
      await database.pool.query('update deployment set keyring_revision = keyring_revision + 1')
      await database.pool.query('update change_counter set value = value + 1')
      void vault.changes.poll()
    },
  }
}

test('a seal holds against a keyring that was being read when it came', async () => {
  const { vault, hold, changeKeyring, opened } = await two()
  const reading = hold('ring_key')
  await changeKeyring()
  await reading.reached
  const { generation } = vault.changes
  const sealing = vault.seal()
  // The database has taken it.
  await expect.poll(() => vault.changes.generation).not.toBe(generation)
  reading.release()
  await sealing
  expect(vault.sealed).toBe(true)
  expect(opened()).toEqual([])
})

test('a seal holds against a keyring that was read before the database took it', async () => {
  const { vault, pool, hold, changeKeyring, opened } = await two()
  const { rows } = await pool.query<{ keyring_revision: bigint }>('select keyring_revision from deployment')
  const looking = hold('deployment', (row) => row.keyring_revision !== rows[0]?.keyring_revision)
  const reading = hold('ring_key')
  await changeKeyring()
  await looking.reached
  const client = await pool.connect()
  await client.query('begin')
  await client.query('select from change_counter for update')
  const { generation } = vault.changes
  const sealing = vault.seal()
  looking.release()
  await reading.reached
  await client.query('commit')
  client.release()
  await expect.poll(() => vault.changes.generation).not.toBe(generation)
  reading.release()
  await sealing
  expect(vault.sealed).toBe(true)
  expect(opened()).toEqual([])
})

test('a seal of another process holds against one that is about to open its vault again', async () => {
  const { vault, other, hold, opened } = await two()
  await other.seal()
  await vault.changes.poll()
  await expect.poll(() => vault.sealed).toBe(true)
  const looking = hold('deployment', (row) => row.sealed_at === null)
  await other.unseal()
  await vault.changes.poll()
  await looking.reached
  const opening = hold('deployment')
  const lookingAgain = hold('deployment')
  await other.seal()
  looking.release()
  await opening.reached
  opening.release()
  await vault.changes.poll()
  // By then the look before it has ended.
  await lookingAgain.reached
  expect(vault.sealed).toBe(true)
  expect(opened()).toEqual([])
  lookingAgain.release()
})

test('a seal of another process holds against one that has read the keyring and does not listen yet', async () => {
  const { vault: other, database, open } = await testVault()
  const { db, hold } = heldAnswers(database.kysely)
  const reading = hold('ring_key')
  const opening = open({ db })
  await reading.reached
  await other.seal()
  reading.release()
  const vault = await opening
  // Sooner than it would look by itself.
  await expect.poll(() => vault.sealed, { timeout: 4_000 }).toBe(true)
})
