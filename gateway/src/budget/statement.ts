import { errorCode } from '@latchkey/shared'
import type pg from 'pg'

/** Whatever runs one statement: a pool, a client or (`queryableOf`) Kysely. */
export interface Queryable {
  /** A statement that fails ends the transaction: whoever began that repeats it, or does not. */
  readonly inTransaction?: boolean
  query<Row extends pg.QueryResultRow>(config: pg.QueryConfig): Promise<{ readonly rows: Row[] }>
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
      if (database.inTransaction || repeats === mostRepeats || !isRepeatable(error)) throw error
    }
  }
}

/**
 * Whether sending the same again can't help: SQLSTATE classes 22 (data), 23 (integrity) and 54 (limits). All else is
 * about the connection, the server or the schema, and passes or is mended.
 */
export function isDataFault(error: unknown): boolean {
  return /^(?:22|23|54)[0-9A-Z]{3}$/.test(errorCode(error) ?? '')
}

/** Whether others were in a statement's way: it may do when it is sent again. */
export function isRepeatable(error: unknown): boolean {
  const code = errorCode(error)
  return code !== null && repeatable.has(code)
}
