import { Secret, systemClock, systemRandom } from '@latchkey/shared'
import { postgresListener } from '@latchkey/shared/database'
import { type ChangeListener, openVault } from '@latchkey/vault'
import { expect, onTestFinished, test } from 'vitest'
import { startTestDatabase } from '../support/database.ts'
import { recordLog } from '../support/recorded-log.ts'
import { testVault } from './fixture.ts'

test('a vault that can not be opened listens no longer', async () => {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  const real = postgresListener(database.connection, recordLog())
  const seen: string[] = []
  const listener: ChangeListener = {
    subscribe(channel, heard) {
      const subscription = real.subscribe(channel, heard)
      seen.push('subscribed')
      onTestFinished(() => subscription.close())
      return {
        async close() {
          await subscription.close()
          seen.push('closed')
        },
      }
    },
  }
  // Where the vault says that it is there: its first statement once it listens.
  await database.pool.query('alter table vault_process rename to away')
  const opening = openVault({
    db: database.kysely,
    rootKey: { kind: 'value', value: new Secret(Buffer.alloc(32, 7).toString('base64')) },
    clock: systemClock,
    random: systemRandom,
    log: recordLog(),
    listener,
  })
  await expect(opening).rejects.toMatchObject({ code: '42P01' })
  expect(seen).toEqual(['subscribed', 'closed'])
})

test('a vault that can not see at its start what was left half-done says so', async () => {
  const { database, open } = await testVault()
  // Gone as soon as the vault has said that it is there.
  await database.pool.query(`
    create function hide() returns trigger language plpgsql as
      $$ begin execute 'alter table deployment rename to hidden'; return new; end $$;
    create trigger hide after insert on vault_process for each row execute function hide()`)
  const log = recordLog()
  await open({ log })
  expect(log.events).toContainEqual({
    event: 'keyring.resume_failed',
    fields: expect.objectContaining({ errorCode: '42P01' }),
  })
})
