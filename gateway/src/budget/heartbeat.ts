import { type Clock, type EpochId, errorFields, type Log, type RandomBytes, uuidv7 } from '@latchkey/shared'
import type pg from 'pg'
import type { BudgetTimes } from './budget-times.ts'
import type { DatabaseClock } from './database-clock.ts'
import { type Beat, beatEpoch, beginEpoch, type LiveEpoch } from './epoch.ts'
import { type BudgetMessage, budgetChannel, parseMessage } from './message.ts'

export interface HeartbeatOptions {
  /** One connection, for the heartbeat alone: whatever waits for a lock must not hold it up. A direct one, as LISTEN needs. */
  readonly pool: pg.Pool
  readonly databaseClock: DatabaseClock
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
  readonly times: BudgetTimes
  readonly listener: HeartbeatListener
}

/** Whoever a heartbeat tells what it learns. */
export interface HeartbeatListener {
  /** A beat was answered: these epochs have not ended, the own one among them. */
  beaten(live: readonly LiveEpoch[]): void
  /** The own epoch was ended by somebody else. Every lease is gone; a new epoch begins after this. */
  ended(): void
  /** The connection is new: messages may have been missed, and what others' counters did in between is not known. */
  connected(): void
  heard(message: BudgetMessage): void
}

interface Moment {
  readonly monotonic: number
  readonly wall: number
}

const firstRetryMs = 100
const longestRetryMs = 1_000
/** However many processes begin at once, and whoever says so. */
const soonMs = 100

/**
 * The proof of life of this process. Holds are taken only while the last heartbeat that was acknowledged, counted
 * from its sending, is young by the monotonic and by the wall clock: the one stands still in a suspended machine,
 * the other can be set. So a process that was taken for dead stops long before its leases are swept.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions
  #epoch: EpochId
  #processes = 1
  #lastBeat: Moment | null = null
  #failedSince: number | null = null
  #client: pg.PoolClient | null = null
  #beating: Promise<void> | null = null
  #timer: NodeJS.Timeout | null = null
  #retryMs = firstRetryMs
  #begun = false
  /** A beat is due soon, and has not begun. */
  #wanted = false
  #closed = false

  constructor(options: HeartbeatOptions) {
    this.#options = options
    this.#epoch = this.#mint()
  }

  /** The epoch of now. It changes where this process was taken for dead. */
  get epoch(): EpochId {
    return this.#epoch
  }

  /** How many processes are alive, this one included. */
  get processes(): number {
    return this.#processes
  }

  /** Whether this process may take holds. */
  get trusted(): boolean {
    if (this.#lastBeat === null) return false
    const { clock, times } = this.#options
    const wall = clock.now() - this.#lastBeat.wall
    return wall >= 0 && wall < times.trustFor && clock.monotonic() - this.#lastBeat.monotonic < times.trustFor
  }

  /** Since when no beat has been answered (monotonic), where the last one was not. */
  get failedSince(): number | null {
    return this.#failedSince
  }

  /** Begins an epoch. Throws the driver's error where the database can't be reached. */
  async start(): Promise<void> {
    try {
      await this.#attempt()
    } catch (error) {
      this.#disconnect()
      throw error
    }
    this.#scheduleNext()
  }

  /** Beats within a moment, once for all who ask for it: there is something new that a beat learns. */
  beatSoon(): void {
    if (this.#wanted) return
    this.#wanted = true
    if (this.#beating === null) this.#scheduleNext()
  }

  /** Beats now, and resolves when that was answered or has failed; `trusted` tells which. */
  beat(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#beating ??= this.#beatOnce().finally(() => {
      this.#beating = null
    })
    return this.#beating
  }

  /** Stops beating. The epoch has not ended by that. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    await this.#beating
    this.#disconnect()
  }

  async #beatOnce(): Promise<void> {
    const { clock, log } = this.#options
    this.#wanted = false
    try {
      await this.#attempt()
      this.#failedSince = null
      this.#retryMs = firstRetryMs
      this.#scheduleNext()
    } catch (error) {
      if (this.#failedSince === null) log.warn('budget.heartbeat_failed', errorFields(error))
      this.#failedSince ??= clock.monotonic()
      this.#disconnect()
      this.#schedule(this.#retryMs)
      this.#retryMs = Math.min(longestRetryMs, this.#retryMs * 2)
    }
  }

  async #attempt(): Promise<void> {
    const { log, listener, times } = this.#options
    const client = await this.#connect()
    for (;;) {
      if (!this.#begun) await withDeadline(beginEpoch(client, this.#epoch), times.beatWithin)
      this.#begun = true
      const sent = this.#moment()
      const beat = await withDeadline(beatEpoch(client, this.#epoch), times.beatWithin)
      if (beat.kind === 'alive') {
        this.#acknowledge(beat, sent)
        return
      }
      log.warn('budget.epoch_lost')
      this.#lastBeat = null
      this.#begun = false
      this.#epoch = this.#mint()
      listener.ended()
    }
  }

  #acknowledge(beat: Extract<Beat, { kind: 'alive' }>, sent: Moment): void {
    this.#lastBeat = sent
    this.#options.databaseClock.set(beat.at, sent.monotonic)
    this.#processes = beat.live.length
    this.#options.listener.beaten(beat.live)
  }

  async #connect(): Promise<pg.PoolClient> {
    if (this.#client !== null) return this.#client
    const { pool, listener } = this.#options
    const client = await pool.connect()
    client.on('notification', ({ payload }) => {
      const message = parseMessage(payload ?? '')
      if (message !== null) listener.heard(message)
    })
    client.once('end', () => {
      if (this.#client !== client) return
      this.#disconnect()
      this.#schedule(firstRetryMs)
    })
    this.#client = client
    await client.query(`LISTEN ${budgetChannel}`)
    listener.connected()
    return client
  }

  #disconnect(): void {
    const client = this.#client
    this.#client = null
    client?.release(true)
  }

  #scheduleNext(): void {
    this.#schedule(this.#wanted ? soonMs : this.#options.times.beatEvery)
  }

  #schedule(milliseconds: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (this.#closed) return
    this.#timer = setTimeout(() => void this.beat(), milliseconds)
    this.#timer.unref()
  }

  #moment(): Moment {
    const { clock } = this.#options
    return { monotonic: clock.monotonic(), wall: clock.now() }
  }

  #mint(): EpochId {
    return uuidv7<EpochId>(this.#options.clock, this.#options.random)
  }
}

/** A server that is stopped, or gone without a word, answers nothing at all. */
async function withDeadline<Result>(work: Promise<Result>, milliseconds: number): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('the database did not answer in time')), milliseconds)
  })
  try {
    return await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
    work.catch(() => undefined)
  }
}
