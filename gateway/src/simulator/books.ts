import { addUsage, noUsage, type Usage } from './usage.ts'

/** How a request ended. `fault`: an injected fault came in place of the answer; `cut`: in its middle. */
export type Completion = 'full' | 'cut' | 'client-gone' | 'fault'

/** One request as the simulator saw it. */
export interface Entry {
  /** What the client got as `x-request-id`. */
  readonly id: string
  /** Arrival, milliseconds since the Unix epoch. */
  readonly at: number
  readonly durationMs: number
  readonly method: string
  /** Without its query. */
  readonly path: string
  readonly model: string | null
  /** The first 8 hexadecimal digits of the SHA-256 of the bearer key, never the key. */
  readonly keyFingerprint: string | null
  readonly stream: boolean
  /** Null where no status was sent. */
  readonly status: number | null
  readonly completed: Completion
  /** Bytes of the answer's body that were handed to the socket. */
  readonly bytes: number
  /** The usage that the answer stated and that was written to the client. */
  readonly reported: Usage | null
  /** What a provider would bill: all input, and the output that was generated before the answer ended. */
  readonly billed: Usage | null
}

/** Sums over requests. */
export interface Tally {
  readonly requests: number
  readonly streams: number
  readonly bytes: number
  readonly statuses: Readonly<Record<string, number>>
  readonly completed: Readonly<Record<Completion, number>>
  /** How many requests reported a usage, and its sum. */
  readonly reported: UsageTally
  readonly billed: UsageTally
}

export interface UsageTally {
  readonly requests: number
  readonly usage: Usage
}

export interface Totals extends Tally {
  /** Requests that have arrived and are in no sum yet. */
  readonly inFlight: number
  readonly models: Readonly<Record<string, Tally>>
}

const mostModels = 1000
/** Under this name the tallies of models beyond the first thousand are added up. */
export const otherModels = '(other)'
/** Under this name stand the requests that named no model. */
const noModel = '(none)'

/** The simulator's own account of what it served. Totals are exact; entries are the latest few. */
export class Books {
  readonly #mostEntries: number
  #entries: Entry[] = []
  #oldest = 0
  #total = new RunningTally()
  #models = new Map<string, RunningTally>()
  #inFlight = 0
  #waiting: (() => void)[] = []

  constructor(mostEntries: number) {
    this.#mostEntries = mostEntries
  }

  /** Notes that a request has arrived. Each is to be closed once. */
  open(): void {
    this.#inFlight++
  }

  /** Notes how a request ended. */
  close(entry: Entry): void {
    this.#inFlight--
    this.#total.add(entry)
    this.#model(entry.model ?? noModel).add(entry)
    this.#keep(entry)
    if (this.#inFlight === 0) for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Resolves when no request is in flight, so that the totals cover every request that has arrived. */
  async settled(): Promise<void> {
    while (this.#inFlight > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  totals(): Totals {
    // Own properties whatever a model is called, `__proto__` too.
    const models = Object.fromEntries([...this.#models].map(([model, tally]) => [model, tally.read()]))
    return { inFlight: this.#inFlight, ...this.#total.read(), models }
  }

  /** The latest entries, oldest first, at most `limit`. */
  entries(limit: number): Entry[] {
    const ordered = [...this.#entries.slice(this.#oldest), ...this.#entries.slice(0, this.#oldest)]
    return limit === 0 ? [] : ordered.slice(-limit)
  }

  /** Forgets everything but the requests in flight, which are added to the new totals when they end. */
  reset(): void {
    this.#entries = []
    this.#oldest = 0
    this.#total = new RunningTally()
    this.#models = new Map()
  }

  #keep(entry: Entry): void {
    if (this.#mostEntries === 0) return
    if (this.#entries.length < this.#mostEntries) {
      this.#entries.push(entry)
      return
    }
    this.#entries[this.#oldest] = entry
    this.#oldest = (this.#oldest + 1) % this.#mostEntries
  }

  // Models are named by whoever asks: without a bound, a flood of names would fill the memory.
  #model(name: string): RunningTally {
    const known = this.#models.get(name)
    if (known) return known
    if (this.#models.size >= mostModels && name !== otherModels) return this.#model(otherModels)
    const tally = new RunningTally()
    this.#models.set(name, tally)
    return tally
  }
}

class RunningTally {
  #requests = 0
  #streams = 0
  #bytes = 0
  readonly #statuses = new Map<string, number>()
  readonly #completed: Record<Completion, number> = { full: 0, cut: 0, 'client-gone': 0, fault: 0 }
  readonly #reported = new RunningUsage()
  readonly #billed = new RunningUsage()

  add(entry: Entry): void {
    this.#requests++
    if (entry.stream) this.#streams++
    this.#bytes += entry.bytes
    const status = entry.status === null ? 'none' : String(entry.status)
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1)
    this.#completed[entry.completed]++
    this.#reported.add(entry.reported)
    this.#billed.add(entry.billed)
  }

  read(): Tally {
    return {
      requests: this.#requests,
      streams: this.#streams,
      bytes: this.#bytes,
      statuses: Object.fromEntries(this.#statuses),
      completed: { ...this.#completed },
      reported: this.#reported.read(),
      billed: this.#billed.read(),
    }
  }
}

class RunningUsage {
  #requests = 0
  #usage: Usage = noUsage

  add(usage: Usage | null): void {
    if (usage === null) return
    this.#requests++
    this.#usage = addUsage(this.#usage, usage)
  }

  read(): UsageTally {
    return { requests: this.#requests, usage: this.#usage }
  }
}
