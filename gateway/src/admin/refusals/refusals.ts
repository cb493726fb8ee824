import type { Database, Page, PageQuery, RefusalWire } from '@latchkey/shared'
import type { Kysely } from 'kysely'
import { decodeCursor, encodeCursor, momentInCursor } from '../cursor.ts'
import { type RefusalPlace, selectRefusals } from './queries.ts'

/** One page of the counts of requests that no known key made, latest first. */
export async function listRefusals(database: Kysely<Database>, query: PageQuery): Promise<Page<RefusalWire>> {
  const place = query.cursor === undefined ? null : decodePlace(query.cursor)
  const rows = await selectRefusals(database, place, query.limit + 1)
  const data = rows.slice(0, query.limit)
  const last = rows.length > query.limit ? data.at(-1) : undefined
  return {
    data: data.map(({ minute, code, count }) => ({
      minute: minute.toISOString(),
      code,
      count: Number(count),
    })),
    nextCursor: last === undefined ? null : encodeCursor([last.minute.toISOString(), last.code]),
  }
}

function decodePlace(cursor: string): RefusalPlace {
  const [minute = '', code = ''] = decodeCursor(cursor, 2)
  return { minute: momentInCursor(minute), code }
}
