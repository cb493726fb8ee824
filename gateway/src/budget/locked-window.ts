type MovingColumn = 'settled_nano' | 'leased_nano' | 'unsettled_nano' | 'overage_nano'

/**
 * SQL for the SET clause of an UPDATE of `budget_window`: the columns that stay as the CTE `locked` has read them
 * under its lock, and the next revision.
 *
 * Postgres checks the row that an UPDATE makes of the version that the statement saw at its beginning, and only
 * then notices that there is a newer one to make it of. A CHECK over columns of both would fail without a cause:
 * so every column that a CHECK sees is set, from the locked version.
 */
export function windowColumns(locked: string, staying: readonly MovingColumn[]): string {
  return [...staying, 'ceiling_nano', 'limit_nano']
    .map((column) => `${column} = ${locked}.${column}`)
    .concat(`revision = ${locked}.revision + 1`)
    .join(', ')
}
