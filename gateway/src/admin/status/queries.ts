import type { Database } from '@latchkey/shared'
import { type Kysely, sql } from 'kysely'

/** What the database says of itself. */
export interface DatabaseSelf {
  /** Like `18.4`. */
  readonly version: string
  readonly now: Date
}

/** One round trip that touches no table. Throws what the driver throws. */
export async function askDatabase(database: Kysely<Database>): Promise<DatabaseSelf> {
  const { rows } = await sql<DatabaseSelf>`
    select split_part(current_setting('server_version'), ' ', 1) as version, clock_timestamp() as now`.execute(
    database,
  )
  const [row] = rows
  if (row === undefined) throw new Error('Postgres answered without a row')
  return row
}
