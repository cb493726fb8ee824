import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { type Clock, errorFields, isConnectionFault, LatchkeyError, type Log } from '@latchkey/shared'
import type { BodyPlace } from '@latchkey/vault'
import type pg from 'pg'
import { isDataFault } from '../budget/statement.ts'
import { encodeBody, shortMediaType } from './body-text.ts'
import { BoundedMemory } from './bounded-memory.ts'
import type { BodyRecorder, CapturedBody } from './captured-body.ts'
import { insertBodies, type SealedBody } from './insert-bodies.ts'

export interface BodyQueueOptions {
  readonly vault: { readonly bodies: BodySealer }
  readonly pool: pg.Pool
  /** The most bytes of bodies in memory, over all requests. */
  readonly mostBytes: number
  readonly clock: Clock
  readonly log: Log
}

/** What seals a body for its place. Throws `vault_sealed`, and what the database throws. */
export interface BodySealer {
  seal(place: BodyPlace, plaintext: Uint8Array): Promise<Buffer>
}

/** What became of captures, since the start; `heldBytes` as of now. */
export interface BodyFigures {
  readonly kept: number
  /** Skipped for want of memory. */
  readonly skipped: number
  /** Lost because the vault was sealed, the database would not take them, or the process stopped before it could. */
  readonly lost: number
  readonly heldBytes: number
}

const flushMs = 200
/** One statement takes so many bodies, and no further one beyond so many bytes. */
const batchBodies = 16
const batchBytes = 512 * 1024
/** What an entry of the queue takes beside its content, with room for a long media type: it may wait for hours. */
const entryBytes = 1024
const firstRetryMs = 100
const longestRetryMs = 2_000

/**
 * Redacts, seals and writes captured bodies, behind the requests' backs: one body in a turn of the event loop, so that
 * nobody waits for a batch of them. They go from memory into their sealed rows and nowhere else: not into the copies,
 * spools and letters of records, which are in the clear. So a body whose process dies, or that has no room while the
 * database is away, is lost; its record is not.
 */
export class BodyQueue implements BodyRecorder {
  readonly memory: BoundedMemory
  readonly #options: BodyQueueOptions
  #queue: CapturedBody[] = []
  #timer: NodeJS.Timeout | null = null
  #writing: Promise<void> | null = null
  #kept = 0
  #lost = 0
  #deadline = Number.POSITIVE_INFINITY
  readonly #closing = new AbortController()

  constructor(options: BodyQueueOptions) {
    this.#options = options
    this.memory = new BoundedMemory(options.mostBytes)
  }

  figures(): BodyFigures {
    const { refused, taken } = this.memory
    return { kept: this.#kept, skipped: refused, lost: this.#lost, heldBytes: taken }
  }

  keep(body: CapturedBody): void {
    if (!this.memory.take(entryBytes)) {
      this.#give([body])
      return
    }
    this.#queue.push({
      ...body,
      mediaType: shortMediaType(body.mediaType),
      held: body.held + entryBytes,
    })
    this.#schedule()
  }

  /** Writes what is queued; what can't be written by `deadline` (monotonic ms) is lost. */
  async close(deadline: number): Promise<void> {
    const { clock, log } = this.#options
    this.#deadline = deadline
    const late = sleep(Math.max(0, deadline - clock.monotonic()), undefined, { signal: this.#closing.signal })
    await Promise.race([this.#writeOut(), late.catch(() => undefined)])
    this.#deadline = Number.NEGATIVE_INFINITY
    this.#closing.abort()
    // What is in hand is given up at once, unless the database holds its statement.
    await Promise.race([this.#writing, sleep(100)])
    this.#lose(this.#queue.splice(0))
    if (this.#lost > 0) log.warn('bodies.lost', { count: this.#lost })
  }

  async #writeOut(): Promise<void> {
    do {
      this.#startWriting()
      await this.#writing
    } while (this.#queue.length > 0 && !this.#expired)
  }

  #schedule(): void {
    if (this.#writing === null && !this.#expired)
      this.#timer ??= setTimeout(() => this.#startWriting(), flushMs)
  }

  #startWriting(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = null
      // It had looked for the last time before this.
      if (this.#queue.length > 0) this.#schedule()
    })
  }

  async #writeAll(): Promise<void> {
    while (this.#queue.length > 0 && !this.#expired)
      await this.#writeBatch(this.#queue.splice(0, this.#nextBatch()))
  }

  /** How many bodies the next statement takes, one at least. */
  #nextBatch(): number {
    let bytes = 0
    const last = Math.min(this.#queue.length, batchBodies)
    for (let count = 0; count < last; count++) {
      bytes += this.#queue[count]?.content?.length ?? 0
      if (bytes > batchBytes) return Math.max(1, count)
    }
    return last
  }

  async #writeBatch(batch: readonly CapturedBody[]): Promise<void> {
    const sealed: SealedBody[] = []
    const clear: CapturedBody[] = []
    for (const body of batch) {
      const envelope = await this.#persist(() => this.#seal(body))
      if (envelope === null) this.#lose([body])
      else {
        sealed.push({ ...placeOf(body), envelope })
        clear.push(body)
      }
      await nextTurn()
    }
    const written = await this.#persist(async () => {
      await insertBodies(this.#options.pool, sealed)
      return true
    })
    if (written === null) return this.#lose(clear)
    this.#kept += clear.length
    this.#give(clear)
  }

  async #seal(body: CapturedBody): Promise<Buffer> {
    const plaintext = encodeBody(body)
    try {
      return await this.#options.vault.bodies.seal(placeOf(body), plaintext)
    } finally {
      plaintext.fill(0)
    }
  }

  /** Repeats `work` while the database is away. Null: it can't be done, or not in time. */
  async #persist<Result>(work: () => Promise<Result>): Promise<Result | null> {
    const { log } = this.#options
    for (let delay = firstRetryMs; !this.#expired; delay = Math.min(longestRetryMs, delay * 2)) {
      try {
        return await work()
      } catch (error) {
        const sealed = error instanceof LatchkeyError && error.code === 'vault_sealed'
        if (!sealed) log.warn('bodies.write_failed', errorFields(error))
        if (sealed || isDataFault(error) || !isConnectionFault(error)) return null
        await sleep(delay, undefined, { signal: this.#closing.signal }).catch(() => undefined)
      }
    }
    return null
  }

  #lose(bodies: readonly CapturedBody[]): void {
    this.#lost += bodies.length
    this.#give(bodies)
  }

  #give(bodies: readonly CapturedBody[]): void {
    for (const { content, held } of bodies) {
      content?.fill(0)
      this.memory.give(held)
    }
  }

  get #expired(): boolean {
    return this.#options.clock.monotonic() >= this.#deadline
  }
}

function placeOf({ organizationId, requestId, direction }: CapturedBody): BodyPlace {
  return { organizationId, requestId, direction }
}
