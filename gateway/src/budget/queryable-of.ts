import type { Database } from '@latchkey/shared'
import { CompiledQuery, type Kysely } from 'kysely'
import type pg from 'pg'
import type { Queryable } from './statement.ts'

/** Runs statements through Kysely: inside a transaction that somebody else began, they hold or fall with it. */
export function queryableOf(database: Kysely<Database>): Queryable {
  return {
    inTransaction: database.isTransaction,
    // Without the statement's name: a change of an operator's is rare, and need not stay prepared.
    query: <Row extends pg.QueryResultRow>({ text, values = [] }: pg.QueryConfig) =>
      database.executeQuery<Row>(CompiledQuery.raw(text, values)),
  }
}
