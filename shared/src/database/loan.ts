import type { PostgresCursor, PostgresPoolClient, PostgresQueryResult } from 'kysely'
import type pg from 'pg'

type Command = PostgresQueryResult<unknown>['command']

// Those whose outcome Kysely looks at; all else is to it like a query without an effect.
const commands: readonly Command[] = ['UPDATE', 'DELETE', 'INSERT', 'SELECT', 'MERGE', 'COMMIT', 'ROLLBACK']

/**
 * A connection of the pool, on loan to Kysely. One on which a statement got no answer is ended when it is given
 * back, as `pool.query` does it: a machine that is gone says no goodbye, and the next borrower would wait on it too.
 */
export class Loan implements PostgresPoolClient {
  readonly #client: pg.PoolClient
  #unanswered = false

  constructor(client: pg.PoolClient) {
    this.#client = client
  }

  query<Row>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<Row>>
  query<Row>(cursor: PostgresCursor<Row>): PostgresCursor<Row>
  query<Row>(
    sql: string | PostgresCursor<Row>,
    parameters: readonly unknown[] = [],
  ): Promise<PostgresQueryResult<Row>> | PostgresCursor<Row> {
    if (typeof sql !== 'string') throw new TypeError('a loan reads no cursors')
    return this.#ask(sql, parameters)
  }

  release(): void {
    this.#client.release(this.#unanswered)
  }

  async #ask<Row>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<Row>> {
    try {
      const { command, rowCount, rows } = await this.#client.query(sql, [...parameters])
      return {
        command: commands.find((known) => known === command) ?? 'SELECT',
        rowCount: rowCount ?? 0,
        rows,
      }
    } catch (error) {
      if (isUnanswered(error)) this.#unanswered = true
      throw error
    }
  }
}

/** Whether `error` is the one that `pg` makes where a statement is not answered within `query_timeout`. */
export function isUnanswered(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout'
}
