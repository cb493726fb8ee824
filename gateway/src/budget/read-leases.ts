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

const readOpen = {
  name: 'read-open-leases',
  text: `
SELECT l.id, l.version, l.granted_nano, l.outstanding_nano, ${figuresColumns('w')}
FROM lease AS l JOIN budget_window AS w ON w.id = l.window_id
WHERE l.epoch_id = $1 AND l.state = 'open'`,
}

/** The open leases of an epoch, and their windows. Throws the driver's error. */
export async function readLeases(database: Queryable, epoch: EpochId): Promise<readonly LeaseStanding[]> {
  const rows = await runStatement<OpenLeaseRow>(database, readOpen, [epoch])
  return rows.map((row) => ({
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
  }))
}
