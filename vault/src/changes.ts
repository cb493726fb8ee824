import { setTimeout as sleep } from 'node:timers/promises'
import { type Clock, type Database, errorFields, type Log } from '@latchkey/shared'
import { type Kysely, sql, type Transaction } from 'kysely'
import type { ChangeBell } from './change-bell.ts'
import { isDeadlock } from './database-errors.ts'

/** For how long after a look at the counter snapshots are used without another, in milliseconds. */
export const defaultTrustForMs = 8000

const mostRepeats = 5
const pauseMs = 20
// The first message is followed at once; a storm of them, forged or not, is one statement in so long.
const hearEveryMs = 50

/** The channel of NOTIFY. Its payload says what changed, for people who listen; nobody decides by it. */
export const changeChannel = 'latchkey_change'

/** Hears NOTIFY. The feed polls as well: a lost message costs time, not truth. */
export interface ChangeListener {
  /** Calls `heard` at every message, and whenever messages may have been missed. Reconnects by itself. */
  subscribe(channel: string, heard: () => void): { close(): Promise<void> }
}

/** What changed, as the payload says it. */
export type ChangeKind = 'proxy-key' | 'provider-key' | 'group' | 'budget' | 'keyring' | 'prices'

/** Counts the change counter up in `trx`. Call it last: it locks one row that every change needs. */
export type Bump = (what: ChangeKind) => Promise<void>

export interface ChangeFeedOptions {
  readonly db: Kysely<Database>
  /** Undefined: changes of other processes are learned from the poll alone. */
  readonly listener: ChangeListener | undefined
  /** Undefined: NOTIFY and the poll are all there is. */
  readonly bell?: ChangeBell | undefined
  readonly clock: Clock
  readonly log: Log
  /** Milliseconds between two polls. */
  readonly pollEveryMs?: number
  /** Milliseconds after which a poll without an answer has failed. */
  readonly pollDeadlineMs?: number
  /** Milliseconds for which a snapshot is believed after the last successful poll; 0: none is. */
  readonly trustForMs?: number
}

/** A moment by both clocks: the monotonic one can stand still in suspension, the wall clock can jump. */
export interface Moment {
  readonly monotonic: number
  readonly wall: number
}

/**
 * Knows whether anything changed that a cached snapshot could hide. `generation` moves at every change
 * that this process has seen; a snapshot is as old as the generation noted **before** it was read.
 */
export class ChangeFeed {
  readonly #options: Required<Omit<ChangeFeedOptions, 'listener' | 'bell'>>
  readonly #listener: ChangeListener | undefined
  readonly #bell: ChangeBell | undefined
  #generation = 0
  readonly #watchers = new Set<() => void>()
  /** The counter as last read; null before the first poll. */
  #value: bigint | null = null
  #observed = 0
  #lastSuccess: Moment | undefined
  #lastAttemptFailed = false
  #polling: Promise<void> | undefined
  #pollAgain = false
  #timer: NodeJS.Timeout | undefined
  #hearing: NodeJS.Timeout | undefined
  /** Whether something was heard since the look that the last message led to. */
  #heardMore = false
  #subscriptions: readonly { close(): Promise<void> }[] = []
  #closed = false

  constructor(options: ChangeFeedOptions) {
    this.#options = { pollEveryMs: 2000, pollDeadlineMs: 1500, trustForMs: defaultTrustForMs, ...options }
    this.#listener = options.listener
    this.#bell = options.bell
  }

  /** Reads the counter, then keeps polling and listening. Throws if the first read fails. */
  async start(): Promise<void> {
    await this.#readCounter()
    this.#timer = setInterval(() => void this.poll(), this.#options.pollEveryMs)
    this.#timer.unref()
    const hear = () => this.#hear()
    this.#subscriptions = [
      this.#listener?.subscribe(changeChannel, hear),
      this.#bell?.subscribe(hear),
    ].filter((subscription) => subscription !== undefined)
  }

  /** Moves at every change seen. Compare for equality only. */
  get generation(): number {
    return this.#generation
  }

  /** Calls `told` whenever the generation has moved; it must not throw. Gives what ends that. */
  watch(told: () => void): () => void {
    this.#watchers.add(told)
    return () => void this.#watchers.delete(told)
  }

  /** Whether a snapshot of this generation may be used without reading it again. */
  get trusted(): boolean {
    return this.#lastSuccess !== undefined && this.isWithin(this.#lastSuccess, this.#options.trustForMs)
  }

  /** Whether the last poll failed: reading a row would most likely fail too, and slowly. */
  get away(): boolean {
    return this.#lastAttemptFailed
  }

  /** When the generation was last known to be the newest. */
  get lastSuccess(): Moment | undefined {
    return this.#lastSuccess
  }

  /** Now, by both clocks. */
  moment(): Moment {
    return { monotonic: this.#options.clock.monotonic(), wall: this.#options.clock.now() }
  }

  /** Whether `moment` is under `milliseconds` ago by both clocks, and not in the future. */
  isWithin(moment: Moment, milliseconds: number): boolean {
    const wall = this.#options.clock.now() - moment.wall
    const monotonic = this.#options.clock.monotonic() - moment.monotonic
    return wall >= 0 && wall < milliseconds && monotonic < milliseconds
  }

  /**
   * A transaction whose `bump` tells every process. This one knows as soon as the commit is done, and not
   * before: a snapshot read in between would otherwise pass for the newest. Where it met another one in a
   * deadlock, nothing was done, and `work` is run again: it must do nothing outside of the transaction.
   */
  async transact<Result>(work: (trx: Transaction<Database>, bump: Bump) => Promise<Result>): Promise<Result> {
    for (let repeats = 0; ; repeats++) {
      try {
        return await this.#transactOnce(work)
      } catch (error) {
        if (repeats === mostRepeats || !isDeadlock(error)) throw error
        // Whoever waited for us goes first, or it all begins again.
        await sleep(pauseMs)
      }
    }
  }

  /** Reads the counter now. At most one read is on its way; a call during it asks for one more after it. */
  poll(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    if (this.#polling !== undefined) {
      this.#pollAgain = true
      return this.#polling
    }
    this.#polling = this.#pollUntilQuiet()
    return this.#polling
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    clearTimeout(this.#hearing)
    await Promise.all(this.#subscriptions.map((subscription) => subscription.close()))
    await this.#polling
  }

  #hear(): void {
    if (this.#closed) return
    if (this.#hearing !== undefined) {
      this.#heardMore = true
      return
    }
    this.#hearing = setTimeout(() => {
      this.#hearing = undefined
      if (!this.#heardMore) return
      this.#heardMore = false
      this.#hear()
    }, hearEveryMs)
    this.#hearing.unref()
    void this.poll()
  }

  async #transactOnce<Result>(
    work: (trx: Transaction<Database>, bump: Bump) => Promise<Result>,
  ): Promise<Result> {
    let value: bigint | undefined
    const run = this.#options.db.transaction().execute((trx) =>
      work(trx, async (what) => {
        if (value !== undefined) return
        const counter = await trx
          .updateTable('change_counter')
          .set((each) => ({ value: sql<bigint>`${each.ref('value')} + 1` }))
          .returning('value')
          .executeTakeFirstOrThrow()
        value = counter.value
        await sql`select pg_notify(${changeChannel}, ${what})`.execute(trx)
      }),
    )
    try {
      return await run
    } finally {
      // Also where the commit failed: its answer may have been lost after it was done.
      if (value !== undefined) {
        this.#observe(value)
        this.#bell?.ring()
      }
    }
  }

  async #pollUntilQuiet(): Promise<void> {
    do {
      this.#pollAgain = false
      try {
        await this.#readCounter()
        this.#lastAttemptFailed = false
      } catch (error) {
        if (!this.#lastAttemptFailed) this.#options.log.warn('changes.poll_failed', errorFields(error))
        this.#lastAttemptFailed = true
      }
    } while (this.#pollAgain && !this.#closed)
    // In the same turn as the last look at the flag: a call in between would get no read of its own.
    this.#polling = undefined
  }

  async #readCounter(): Promise<void> {
    const asked = this.moment()
    const observed = this.#observed
    const { value } = await this.#withDeadline(
      this.#options.db.selectFrom('change_counter').select('value').executeTakeFirstOrThrow(),
    )
    // Any other value is a change, a lower one too: a promoted replica may have lost the newest ones.
    if (this.#value !== null && value !== this.#value) this.#move()
    this.#value = value
    // An own change may have been committed while this answer was on its way.
    if (observed === this.#observed) this.#lastSuccess = asked
  }

  #observe(value: bigint): void {
    this.#observed += 1
    // Nothing of others lies in between: the next poll need not take this change for a new one.
    if (this.#value !== null && value === this.#value + 1n) this.#value = value
    this.#move()
  }

  #move(): void {
    this.#generation += 1
    for (const told of this.#watchers) told()
  }

  async #withDeadline<Result>(work: Promise<Result>): Promise<Result> {
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error('no answer in time')), this.#options.pollDeadlineMs)
    })
    try {
      return await Promise.race([work, deadline])
    } finally {
      clearTimeout(timer)
    }
  }
}
