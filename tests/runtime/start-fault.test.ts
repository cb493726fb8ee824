import pg from 'pg'
import { afterAll, expect, test } from 'vitest'
import { readConfig } from '../../gateway/src/config.ts'
import { startFault } from '../../gateway/src/runtime/database-refusal.ts'
import { startPostgres } from '../support/postgres.ts'

const postgres = await startPostgres()
afterAll(() => postgres.discard())

test('a start that finds no connection left says so, and one that failed by itself is not blamed on the database', async () => {
  await postgres.query('postgres', `CREATE ROLE meagre LOGIN PASSWORD 'meagre' CONNECTION LIMIT 0`)
  const url = `postgres://meagre:meagre@127.0.0.1:${postgres.port}/postgres`
  const error: unknown = await new pg.Client(url).connect().catch((reason: unknown) => reason)
  const { database } = readConfig({ DATABASE_URL: url })
  expect(startFault(error, database)).toMatchObject({
    code: 'database_unreachable',
    message: expect.stringMatching(/has no connection left: too many connections for role "meagre"/),
  })
  const other = new Error('not a connection')
  expect(startFault(other, database)).toBe(other)
  expect(startFault(error, { kind: 'embedded' })).toBe(error)
})
