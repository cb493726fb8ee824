import type { Database } from '@latchkey/shared'
import type { Transaction } from 'kysely'
import { expect, test } from 'vitest'
import { addProviderKey, testVault } from './fixture.ts'

test('of two changes that wait for each other, each is made once', async () => {
  const { vault, database } = await testVault()
  await addProviderKey(vault, 'left')
  await addProviderKey(vault, 'right')
  const bothHaveOne = Promise.withResolvers<void>()
  let waiting = 2
  let runs = 0
  const mark = async (trx: Transaction<Database>, name: string) => {
    await trx
      .updateTable('provider_key')
      .set((each) => ({ revision: each('revision', '+', 1) }))
      .where('name', '=', name)
      .execute()
  }
  const change = (first: string, second: string) =>
    vault.changes.transact(async (trx, bump) => {
      runs++
      await mark(trx, first)
      if (--waiting === 0) bothHaveOne.resolve()
      await bothHaveOne.promise
      await mark(trx, second)
      await bump('provider-key')
      return first
    })
  expect(await Promise.all([change('left', 'right'), change('right', 'left')])).toEqual(['left', 'right'])
  const { rows } = await database.pool.query('SELECT revision FROM provider_key')
  expect(rows).toEqual([{ revision: 3 }, { revision: 3 }])
  expect(runs).toBeGreaterThan(2)
})
