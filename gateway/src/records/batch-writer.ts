import { type Clock, errorCode, errorFields, type Log, redact } from '@latchkey/shared'
import type pg from 'pg'
import { isDataFault } from '../budget/statement.ts'
import { insertDeadLetter, insertRows } from './batch-insert.ts'
import { LastUses } from './last-uses.ts'
import { type RecordRow, rowText } from './record-row.ts'
import { soundRow } from './sound-row.ts'

export interface BatchWriterOptions {
  readonly pool: pg.Pool
  readonly clock: Clock
  readonly log: Log
}

/** How many rows one statement takes. */
export const batchRows = 500

/**
 * The one way by which records reach Postgres, wherever they were kept until then. One that Postgres does not take
 * holds up no other, and settles its money all the same: what can be saved of it is written, and the rest is kept as
 * a dead letter.
 */
export class BatchWriter {
  readonly #options: BatchWriterOptions
  readonly #lastUses = new LastUses()
  #deadLetters = 0
  #lost = 0

  constructor(options: BatchWriterOptions) {
    this.#options = options
  }

  /** Records that became dead letters, since the start. */
  get deadLetters(): number {
    return this.#deadLetters
  }

  /** Records of which Postgres took nothing. */
  get lost(): number {
    return this.#lost
  }

  /**
   * Writes rows, `batchRows` at the most, and settles them. Throws the driver's error where the database can't be
   * asked or can't write now: then all of them are to be written again, which does nothing to those that were.
   */
  async write(rows: readonly RecordRow[]): Promise<void> {
    if (rows.length === 0) return
    try {
      await insertRows(this.#options.pool, rows, this.#lastUses)
    } catch (error) {
      if (!isDataFault(error)) throw error
      await this.#writeHalves(rows, error)
    }
  }

  /** Halved until the one stands alone. */
  async #writeHalves(rows: readonly RecordRow[], error: unknown): Promise<void> {
    const [only] = rows
    if (only === undefined) return
    if (rows.length === 1) return this.#bury(only, error)
    const middle = Math.ceil(rows.length / 2)
    await this.write(rows.slice(0, middle))
    await this.write(rows.slice(middle))
  }

  async #bury(row: RecordRow, error: unknown): Promise<void> {
    const { pool, clock, log } = this.#options
    const letter = { record: rowText(row), reason: errorCode(error) ?? '', at: clock.now() }
    for (const settlements of [true, false]) {
      try {
        await insertDeadLetter(pool, { ...letter, sound: soundRow(row, { settlements }) })
        this.#deadLetters++
        log.error('records.dead_letter', {
          requestId: row.id,
          keyId: redact(String(row.proxy_key_id)),
          state: settlements ? 'settled' : 'not settled',
          ...errorFields(error),
        })
        return
      } catch (again) {
        if (!isDataFault(again)) throw again
      }
    }
    this.#lose({ requestId: row.id, ...errorFields(error) })
  }

  #lose(fields: Parameters<Log['error']>[1]): void {
    this.#lost++
    this.#options.log.error('records.lost', { count: 1, ...fields })
  }
}
