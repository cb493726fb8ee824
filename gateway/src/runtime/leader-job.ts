import { setTimeout as sleep } from 'node:timers/promises'
import { errorFields, type Log } from '@latchkey/shared'
import type pg from 'pg'

export interface LeaderJobOptions {
  /** Names the job in the log, and its lock. */
  readonly name: string
  readonly pool: pg.Pool
  readonly log: Log
  /** Between two runs, in milliseconds. */
  readonly every: number
  /** After one that failed. */
  readonly retryAfter: number
  /** Gets the connection that holds the lock: while it lives, nobody else runs this job. */
  readonly run: (client: pg.PoolClient) => Promise<void>
}

/** What came of one attempt: `elsewhere` is where another process was at it. */
export type LeaderJobOutcome = 'done' | 'elsewhere' | 'failed'

const closeWithinMs = 2_000

/**
 * A job that one process does at a time, by an advisory lock of the database, which falls free with the connection.
 * Every process looks in now and then, so what one has done the next must find done.
 */
export class LeaderJob {
  readonly #options: LeaderJobOptions
  #timer: NodeJS.Timeout | null = null
  #running: Promise<LeaderJobOutcome> | null = null
  #closed = false

  constructor(options: LeaderJobOptions) {
    this.#options = options
  }

  /** Runs it now, and again from then on. */
  start(): void {
    void this.run().then((outcome) => {
      const { every, retryAfter } = this.#options
      if (this.#closed) return
      this.#timer = setTimeout(() => this.start(), outcome === 'failed' ? retryAfter : every)
      this.#timer.unref()
    })
  }

  /** Runs it once, if nobody else does. Never throws. */
  run(): Promise<LeaderJobOutcome> {
    this.#running ??= this.#attempt().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  /** Runs it no more, and waits a moment for the run that has begun. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    await Promise.race([this.#running, sleep(closeWithinMs, undefined, { ref: false })])
  }

  async #attempt(): Promise<LeaderJobOutcome> {
    const { name, log } = this.#options
    try {
      return await this.#runLocked()
    } catch (error) {
      log.warn('job.failed', { name, ...errorFields(error) })
      return 'failed'
    }
  }

  async #runLocked(): Promise<LeaderJobOutcome> {
    const { name, pool, run } = this.#options
    const client = await pool.connect()
    let free = false
    try {
      const lock = [`latchkey ${name}`]
      const { rows } = await client.query<{ taken: boolean }>(
        'SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS taken',
        lock,
      )
      if (rows[0]?.taken !== true) {
        free = true
        return 'elsewhere'
      }
      await run(client)
      await client.query('SELECT pg_advisory_unlock(hashtextextended($1, 0))', lock)
      free = true
      return 'done'
    } finally {
      // A connection that may still hold the lock is ended, and the lock with it.
      client.release(!free)
    }
  }
}
