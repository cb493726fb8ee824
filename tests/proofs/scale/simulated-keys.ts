import { defaultSnapshotLimits } from '../../../vault/src/snapshots.ts'
import type { SimulatedRequest } from './simulated-request.ts'
import type { Tally } from './tally.ts'
import type { VirtualClock } from './virtual-clock.ts'

export interface SimulatedKeysOptions {
  readonly clock: VirtualClock
  readonly tally: Tally
  readonly roundTripMs: number
  readonly argon2: { readonly ms: number; readonly atOnce: number }
}

// As in batched-reads.ts, proxy-key-reader.ts and argon2.ts.
const mostRead = 200
const pauseMs = 10
const mostWaitForArgon2 = 512

/** What one process knows of keys: snapshots as old as a generation, and tokens that argon2 has accepted. */
export class SimulatedKeys {
  readonly #options: SimulatedKeysOptions
  readonly #snapshots = new Recent<number, number>(defaultSnapshotLimits.snapshots)
  readonly #accepted = new Recent<number, true>(defaultSnapshotLimits.accepted)
  readonly #flights = new Map<number, SimulatedRequest[]>()
  readonly #screening: Lane
  readonly #reading: Lane
  readonly #forArgon2: number[] = []
  #running: { readonly key: number; readonly until: number }[] = []
  #generation = 0

  constructor(options: SimulatedKeysOptions) {
    this.#options = options
    this.#screening = new Lane(options, pauseMs)
    this.#reading = new Lane(options, 0)
  }

  /** Snapshots that are remembered. */
  get known(): number {
    return this.#snapshots.size
  }

  /** Something was changed: no snapshot is used again before it is read again. */
  changed(): void {
    this.#generation++
  }

  /** Whether the key is warm; else the request waits, and comes out of `exchange` unless it is refused. */
  knows(request: SimulatedRequest): boolean {
    const { key } = request
    const generation = this.#snapshots.get(key)
    if (generation === this.#generation) return true
    const flight = this.#flights.get(key)
    if (flight !== undefined) flight.push(request)
    else {
      this.#flights.set(key, [request])
      const lane = generation === undefined ? this.#screening : this.#reading
      lane.add(key)
    }
    return false
  }

  /** What time has brought: the requests whose keys are known now. */
  exchange(): readonly SimulatedRequest[] {
    const { clock, tally, argon2 } = this.#options
    const now = clock.monotonic()
    const ready: SimulatedRequest[] = []
    const know = (key: number) => {
      this.#snapshots.set(key, this.#generation)
      ready.push(...(this.#flights.get(key) ?? []))
      this.#flights.delete(key)
    }
    for (const key of this.#screening.exchange()) this.#reading.add(key)
    for (const key of this.#reading.exchange()) {
      if (this.#accepted.get(key) === true) know(key)
      else if (this.#forArgon2.length < mostWaitForArgon2) this.#forArgon2.push(key)
      else {
        tally.refusedByArgon2 += this.#flights.get(key)?.length ?? 0
        this.#flights.delete(key)
      }
    }
    const running = []
    for (const run of this.#running) {
      if (run.until > now) running.push(run)
      else {
        this.#accepted.set(run.key, true)
        know(run.key)
      }
    }
    this.#running = running
    while (running.length < argon2.atOnce) {
      const key = this.#forArgon2.shift()
      if (key === undefined) break
      tally.argon2Runs++
      running.push({ key, until: now + argon2.ms })
    }
    return ready
  }
}

/** One read at a time; whoever comes meanwhile shares the next. */
class Lane {
  readonly #options: SimulatedKeysOptions
  readonly #pauseMs: number
  #waiting: number[] = []
  #read: { readonly keys: readonly number[]; readonly at: number } | null = null
  #idleUntil = 0

  constructor(options: SimulatedKeysOptions, pause: number) {
    this.#options = options
    this.#pauseMs = pause
  }

  add(key: number): void {
    this.#waiting.push(key)
  }

  exchange(): readonly number[] {
    const { clock, tally, roundTripMs } = this.#options
    const now = clock.monotonic()
    let found: readonly number[] = []
    if (this.#read !== null && now >= this.#read.at) {
      found = this.#read.keys
      this.#read = null
      this.#idleUntil = now + (this.#waiting.length < mostRead ? this.#pauseMs : 0)
    }
    if (this.#read === null && this.#waiting.length > 0 && now >= this.#idleUntil) {
      const keys = this.#waiting.slice(0, mostRead)
      this.#waiting = this.#waiting.slice(mostRead)
      this.#read = { keys, at: now + roundTripMs }
      tally.keyStatements++
      tally.keyRows += keys.length
    }
    return found
  }
}

/** The entries that were used last, at most so many. */
class Recent<Key, Value> {
  readonly #most: number
  readonly #entries = new Map<Key, Value>()

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: Key): Value | undefined {
    const value = this.#entries.get(key)
    if (value === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, value)
    return value
  }

  set(key: Key, value: Value): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size <= this.#most) return
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest)
      break
    }
  }
}
