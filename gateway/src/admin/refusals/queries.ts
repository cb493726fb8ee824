import type { Database, RefusalTable } from '@latchkey/shared'
import type { Kysely, Selectable } from 'kysely'

export type RefusalRow = Selectable<RefusalTable>

/** A place in the list: minutes descend, codes ascend within a minute. */
export interface RefusalPlace {
  readonly minute: Date
  readonly code: string
}

/** Counts per minute and code, latest minute first, after `place`. */
export function selectRefusals(
  database: Kysely<Database>,
  place: RefusalPlace | null,
  limit: number,
): Promise<RefusalRow[]> {
  let query = database.selectFrom('refusal').selectAll()
  if (place !== null) {
    query = query.where((is) =>
      is.or([
        is('minute', '<', place.minute),
        is.and([is('minute', '=', place.minute), is('code', '>', place.code)]),
      ]),
    )
  }
  return query.orderBy('minute', 'desc').orderBy('code').limit(limit).execute()
}
