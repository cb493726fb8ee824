import type pg from 'pg'

/** Whatever runs one statement: a pool or a client. */
export interface Queryable {
  query<Row extends pg.QueryResultRow>(config: pg.QueryConfig): Promise<pg.QueryResult<Row>>
}

export interface Statement {
  /** Names the prepared statement, so the server plans it once a connection. */
  readonly name: string
  readonly text: string
}

// Serialization failure, deadlock, and a row that another statement inserted after ours began.
const repeatable = new Set(['40001', '40P01', '23505'])
const mostRepeats = 20

/**
 * Runs one statement, again where others were in its way. Only for statements that change nothing when they
 * fail and decide anew when they run again. Throws the driver's error.
 */
export async function runStatement<Row extends pg.QueryResultRow>(
  database: Queryable,
  statement: Statement,
  values: readonly unknown[],
): Promise<readonly Row[]> {
  for (let repeats = 0; ; repeats++) {
    try {
      const result = await database.query<Row>({ ...statement, values: [...values] })
      return result.rows
    } catch (error) {
      if (repeats === mostRepeats || !isRepeatable(error)) throw error
    }
  }
}

function isRepeatable(error: unknown): boolean {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : null
  return typeof code === 'string' && repeatable.has(code)
}
