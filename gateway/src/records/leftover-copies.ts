import type { DeploymentId, EpochId, Log } from '@latchkey/shared'
import type pg from 'pg'
import { type BatchWriter, batchRows } from './batch-writer.ts'
import { copyStream, type RedisClient } from './copy-stream.ts'
import { parseRows } from './record-row.ts'
import type { Leftovers } from './take-over.ts'

export interface LeftoverCopiesOptions {
  readonly client: RedisClient
  readonly pool: pg.Pool
  readonly deployment: DeploymentId
  readonly writer: BatchWriter
  readonly log: Log
}

/** Each has up to `mostRowsTogether` rows: together, some 10 MB. */
const entriesAtOnce = 100

// Ended epochs are cleared away after a day, where they have no lease left.
const endedLately = {
  name: 'epochs-ended-lately',
  text: `SELECT id FROM process_epoch WHERE ended_at > statement_timestamp() - interval '2 days'`,
}

/**
 * The copies of processes whose epochs have ended. Several may take over the same stream at once, or from a process
 * that lives after all: each of its records is written once all the same.
 */
export class LeftoverCopies implements Leftovers {
  readonly name = 'copies'
  readonly #options: LeftoverCopiesOptions
  #takenOver = 0

  constructor(options: LeftoverCopiesOptions) {
    this.#options = options
  }

  /** Records that were found on streams of dead processes, since the start. */
  get takenOver(): number {
    return this.#takenOver
  }

  async replay(epochs: readonly EpochId[]): Promise<void> {
    const { pool } = this.#options
    const ended =
      epochs.length > 0 ? epochs : (await pool.query<{ id: EpochId }>(endedLately)).rows.map(({ id }) => id)
    for (const epoch of ended) await this.#replayStream(epoch)
  }

  async #replayStream(epoch: EpochId): Promise<void> {
    const { client, deployment, log } = this.#options
    const stream = copyStream(deployment, epoch)
    if ((await client.exists(stream)) === 0) return
    let rows = 0
    for (;;) {
      const entries = await client.xrange(stream, '-', '+', 'COUNT', entriesAtOnce)
      if (entries.length === 0) break
      rows += await this.#write(entries)
      await client.xdel(stream, ...entries.map(([id]) => id))
    }
    await client.del(stream)
    this.#takenOver += rows
    if (rows > 0) log.warn('records.taken_over', { rows })
  }

  async #write(entries: readonly (readonly [id: string, fields: readonly string[]])[]): Promise<number> {
    const { writer, log } = this.#options
    const found = entries.flatMap(([, [, text = '']]) => parseRows(text))
    const rows = found.filter((row) => row !== null)
    if (rows.length < found.length) log.error('records.lost', { count: found.length - rows.length })
    for (let at = 0; at < rows.length; at += batchRows) await writer.write(rows.slice(at, at + batchRows))
    return rows.length
  }
}
