import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await startTestDatabase()
})
afterAll(() => database.close())

async function read(expression: string, values: readonly unknown[] = []): Promise<unknown> {
  const result = await database.pool.query<{ value: unknown }>(`SELECT ${expression} AS value`, [...values])
  return result.rows[0]?.value
}

describe('values from Postgres', () => {
  it.each([
    ['the largest int8', '9223372036854775807::int8', 9223372036854775807n],
    ['the smallest int8', '(-9223372036854775808)::int8', -9223372036854775808n],
    ['zero', '0::int8', 0n],
    ['a count', '(SELECT count(*) FROM (VALUES (1), (2)) AS two)', 2n],
    ['a null int8', 'NULL::int8', null],
    ['an array of int8', "'{1,NULL,9007199254740993}'::int8[]", [1n, null, 9007199254740993n]],
    [
      'an array of arrays of int8',
      "'{{1,2},{3,4}}'::int8[]",
      [
        [1n, 2n],
        [3n, 4n],
      ],
    ],
    ['an int4', '7::int4', 7],
    ['a numeric', '0.1::numeric', '0.1'],
    ['a bytea', "'\\x00ff'::bytea", Buffer.from([0, 255])],
    ['a jsonb', `'{"a":[1]}'::jsonb`, { a: [1] }],
  ])('reads %s exactly', async (_title, expression, expected) => {
    expect(await read(expression)).toStrictEqual(expected)
  })

  it('writes a bigint exactly', async () => {
    expect(await read('$1::int8', [9007199254740993n])).toBe(9007199254740993n)
  })

  it('reads and writes a timestamptz as the same moment, to the millisecond', async () => {
    const moment = new Date('2026-11-29T18:00:00.123Z')
    expect(await read('$1::timestamptz', [moment])).toStrictEqual(moment)
  })

  it("leaves other users of pg in this process with pg's own parsers", async () => {
    const client = new pg.Client({ ...database.connection, ssl: false })
    await client.connect()
    try {
      const result = await client.query<{ value: unknown }>('SELECT 1::int8 AS value')
      expect(result.rows[0]?.value).toBe('1')
    } finally {
      await client.end()
    }
  })
})
