import type { EpochId, LeaseId, NanoUsd } from '@latchkey/shared'
import type { LeaseStanding } from './change-leases.ts'
import { type Queryable, runStatement } from './statement.ts'
import { type FiguresRow, figuresColumns, figuresOf } from './window-figures.ts'

interface OpenLeaseRow extends FiguresRow {
  readonly id: LeaseId
  readonly version: bigint
  readonly granted_nano: NanoUsd
  readonly outstanding_nano: NanoUsd
}

/** The open leases of an epoch whose ids follow `after`, up to `most` of them. */
export interface LeasePage {
  readonly standings: readonly LeaseStanding[]
  /** The last lease of the page, where others may follow; null: this was the last page. */
  readonly last: LeaseId | null
}

/** How many leases are read at once: thousands of rows would hold requests up while they are parsed. */
export const leasesPerPage = 1_000

const beforeAll = '00000000-0000-0000-0000-000000000000'

const readOpen = {
  name: 'read-open-leases',
  text: `
SELECT l.id, l.version, l.granted_nano, l.outstanding_nano, ${figuresColumns('w')}
FROM lease AS l JOIN budget_window AS w ON w.id = l.window_id
WHERE l.epoch_id = $1 AND l.state = 'open' AND l.id > $2
ORDER BY l.id LIMIT $3`,
}

/** Open leases of an epoch and their windows, in the order of their ids. `after` null: from the first on. Throws the driver's error. */
export async function readLeases(
  database: Queryable,
  epoch: EpochId,
  after: LeaseId | null,
  most: number,
): Promise<LeasePage> {
  const rows = await runStatement<OpenLeaseRow>(database, readOpen, [epoch, after ?? beforeAll, most])
  const standings = rows.map(
    (row): LeaseStanding => ({
      lease: row.id,
      row: {
        id: row.id,
        window: row.window_id,
        version: row.version,
        granted: row.granted_nano,
        outstanding: row.outstanding_nano,
        state: 'open',
      },
      window: figuresOf(row),
      isCurrent: false,
    }),
  )
  return { standings, last: rows.length < most ? null : (rows.at(-1)?.id ?? null) }
}
