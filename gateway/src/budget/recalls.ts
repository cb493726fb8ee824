import { type Clock, type EpochId, errorFields, type Log } from '@latchkey/shared'
import { budgetChannel, recallPayload } from './message.ts'
import { type Queryable, runStatement } from './statement.ts'

export interface RecallsOptions {
  readonly database: Queryable
  readonly clock: Clock
  readonly log: Log
  /** A window is recalled again only after so long, in milliseconds. */
  readonly every: number
}

const notify = {
  name: 'recall-leases',
  text: 'SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload',
}

/** Asks the other processes to return what they do not need, of one window once at a time. */
export class Recalls {
  readonly #options: RecallsOptions
  readonly #sentAt = new Map<bigint, number>()

  constructor(options: RecallsOptions) {
    this.#options = options
  }

  /** Asks for these windows, except where that was just done. A recall that fails is a recall that nobody answers. */
  send(windows: readonly bigint[], from: EpochId): void {
    const { database, clock, log, every } = this.#options
    const now = clock.monotonic()
    for (const [window, at] of this.#sentAt) if (now - at >= every) this.#sentAt.delete(window)
    const due = windows.filter((window) => !this.#sentAt.has(window))
    if (due.length === 0) return
    for (const window of due) this.#sentAt.set(window, now)
    runStatement(database, notify, [budgetChannel, due.map((window) => recallPayload(window, from))]).catch(
      (error: unknown) => log.warn('budget.recall_failed', errorFields(error)),
    )
  }
}
