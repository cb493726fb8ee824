import { Secret, systemRandom } from '@latchkey/shared'
import { checkServer } from '@latchkey/shared/database'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { startTransactionPooler } from '../support/transaction-pooler.ts'

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres.discard())

describe('a server', () => {
  test('that is reached directly is suitable', async () => {
    const connection = postgres.connection(await postgres.createDatabase())
    expect(await checkServer(connection, systemRandom)).toEqual({
      kind: 'suitable',
      version: expect.stringMatching(/^18\.\d+$/),
    })
  })

  test.each([
    ['one session to whoever comes', 'last'],
    ['each session in turn', 'longest'],
    ['everybody the same one again, and drops what it says in between', 'own'],
  ] as const)('behind a transaction pooler that lends %s is refused', async (_title, order) => {
    const database = await postgres.createDatabase()
    const pooler = await startTransactionPooler(postgres, database, order)
    onTestFinished(() => pooler.close())
    const connection = { ...postgres.connection(database), port: pooler.port }
    expect(await checkServer(connection, systemRandom)).toEqual({
      kind: 'unsuitable',
      reason: expect.stringContaining('transaction pooler'),
    })
  })

  test('whose encoding is not UTF8 is refused', async () => {
    const database = await postgres.createDatabase(
      "ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'",
    )
    expect(await checkServer(postgres.connection(database), systemRandom)).toMatchObject({
      kind: 'unsuitable',
      reason: expect.stringContaining('SQL_ASCII'),
    })
  })

  test('that is not there, or does not know the password, is an error of the driver without the password', async () => {
    const connection = postgres.connection(await postgres.createDatabase())
    const password = 'canary-wrong-0123456789'
    const wrong = { ...connection, password: new Secret(password) }
    const refused = await checkServer(wrong, systemRandom).catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: '28P01' })
    expect(`${String(refused)} ${JSON.stringify(refused)}`).not.toContain(password)
    await expect(checkServer({ ...connection, port: 1 }, systemRandom)).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    })
  })
})
