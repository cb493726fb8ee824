import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { insertRecords } from '../../gateway/src/records/batch-insert.ts'
import { startTestDatabase } from '../support/database.ts'
import { record } from './record.ts'

// What arrays are spelled with, and what a client may send beside it. Postgres knows no NUL.
const spelling = fc.constantFrom('"', '\\', '{', '}', ',', 'NULL', ' ', '\n', "'", '\u2028', 'ä', '😀', 'x')
const text = fc.oneof(
  fc.array(spelling, { maxLength: 8 }).map((parts) => parts.join('')),
  fc.string({ unit: 'grapheme' }).map((any) => any.replaceAll('\0', '')),
)
const annotations = fc.record({
  model: fc.option(text),
  userId: fc.option(text),
  sessionId: fc.option(text),
  properties: fc.dictionary(text, text, { maxKeys: 3 }),
  responseBytes: fc.maxSafeNat(),
  durationMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
  streamed: fc.boolean(),
})

test('whatever is in a row stands in its own columns, beside whatever other rows', async () => {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  await fc.assert(
    fc.asyncProperty(fc.array(annotations, { minLength: 1, maxLength: 20 }), async (changes) => {
      const records = changes.map((change) => record(change))
      await insertRecords(database.pool, records)
      const ids = records.map(({ id }) => id)
      const rows = await database.kysely.selectFrom('request').selectAll().where('id', 'in', ids).execute()
      const read = new Map(
        rows.map((row) => [
          row.id,
          {
            model: row.model,
            userId: row.user_id,
            sessionId: row.session_id,
            properties: row.properties,
            responseBytes: Number(row.response_bytes),
            durationMs: row.duration_ms,
            streamed: row.streamed,
          },
        ]),
      )
      expect(ids.map((id) => read.get(id))).toEqual(changes)
    }),
    { numRuns: 50 },
  )
})

test('half a surrogate pair, which UTF-8 can’t spell, is written as U+FFFD', async () => {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  const halved = record({ userId: 'half \ud800' })
  await insertRecords(database.pool, [halved])
  const row = await database.kysely.selectFrom('request').selectAll().executeTakeFirstOrThrow()
  expect(row.user_id).toBe('half \ufffd')
})
