import cluster, { type Worker } from 'node:cluster'
import { fileURLToPath } from 'node:url'
import type { Clock } from '@latchkey/shared/clock'
import { errorFields, type Log } from '@latchkey/shared/log'
import { ProcessMetrics } from '../../metrics/process-metrics.ts'
import { Handovers } from './handovers.ts'
import {
  parseWorkerMessage,
  type Question,
  type Served,
  type SupervisorMessage,
  type WorkerMessage,
} from './messages.ts'
import { RestartDelay } from './restart-delay.ts'
import { Survey } from './survey.ts'
import { WorkerMetrics } from './worker-metrics.ts'

export interface SupervisorOptions {
  /** How many workers serve. */
  readonly count: number
  /** Milliseconds that workers give running requests when they are to stop. */
  readonly drainTimeoutMs: number
  readonly clock: Clock
  readonly log: Log
}

/** How a start ended. */
export type Start =
  | { readonly kind: 'serving'; readonly served: Served }
  /** A worker could not start; the others have ended. `message` is for people, null where it has logged why. */
  | { readonly kind: 'failed'; readonly message: string | null; readonly exitCode: number }

/** One worker, and those that take its place. */
interface Place {
  readonly number: number
  readonly delay: RestartDelay
  worker: Worker | null
  /** When it began to serve, by the monotonic clock; null before. */
  servesSince: number | null
  /** Whether any worker has served here. */
  served: boolean
  restarts: number
  pause: NodeJS.Timeout | null
  failure: Extract<WorkerMessage, { kind: 'failed' }> | null
  /** Told how the place's first worker starts. */
  onStart: ((start: Start) => void) | null
}

/** How a worker ended. */
type End =
  | { readonly kind: 'exited'; readonly code: number | null; readonly signal: string | null }
  /** There was no process: the system is out of processes, memory or files, or `node` is not where it was. */
  | { readonly kind: 'not-forked'; readonly error: unknown }

// A scrape must not hang on a worker that does.
const answerWithinMs = 1_000
const unexplained = 70
/** After its requests a worker writes its records and returns its leases; one that has not ended by then hangs. */
const closeWithinMs = 40_000

/**
 * Runs the workers of a gateway: it listens for them and hands connections out in turn (`node:cluster`), starts again
 * those that die, and puts their answers together where one is asked about all. It opens no vault and no database, and
 * knows no setting but their number.
 */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #places: readonly Place[]
  readonly #survey = new Survey<Place>(answerWithinMs)
  readonly #metrics = new WorkerMetrics()
  readonly #handovers = new Handovers()
  readonly #process: ProcessMetrics
  #stopping = false
  #started = false

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#process = new ProcessMetrics(options.clock)
    this.#places = Array.from({ length: options.count }, (_, index) => ({
      number: index + 1,
      delay: new RestartDelay(),
      worker: null,
      servesSince: null,
      served: false,
      restarts: 0,
      pause: null,
      failure: null,
      onStart: null,
    }))
    // Left to the kernel, the same few workers get most of the connections.
    cluster.schedulingPolicy = cluster.SCHED_RR
  }

  /** Starts one worker, then the others: what stops one is told once, and the first alone migrates and makes keys. */
  async start(): Promise<Start> {
    const [first, ...others] = this.#places
    if (first === undefined) throw new RangeError('a gateway has at least one worker')
    const one = await this.#startFirst(first)
    if (this.#stopping) return one
    const all =
      one.kind === 'failed'
        ? [one]
        : await Promise.all([one, ...others.map((place) => this.#startFirst(place))])
    const failed = all.find((start) => start.kind === 'failed')
    if (failed !== undefined) {
      await this.stop()
      return failed
    }
    this.#started = true
    return one
  }

  /** Tells all workers to drain, and resolves when the last one has ended. One that hangs is killed, some time after it should have. */
  async stop(): Promise<void> {
    const { drainTimeoutMs, log } = this.#options
    this.#stopping = true
    await Promise.all(
      this.#places.map(async (place) => {
        if (place.pause !== null) clearTimeout(place.pause)
        const { worker } = place
        if (worker === null || worker.isDead()) return
        const ended = new Promise((resolve) => worker.once('exit', resolve))
        worker.process.kill('SIGTERM')
        const late = setTimeout(() => {
          log.error('worker.killed', { worker: place.number, pid: worker.process.pid ?? null })
          worker.process.kill('SIGKILL')
        }, drainTimeoutMs + closeWithinMs)
        await ended
        clearTimeout(late)
      }),
    )
    this.#process.close()
  }

  #startFirst(place: Place): Promise<Start> {
    return new Promise((resolve) => {
      place.onStart = resolve
      this.#fork(place)
    })
  }

  #fork(place: Place): void {
    place.servesSince = null
    place.failure = null
    cluster.setupPrimary({ exec: entry, args: [String(place.number)] })
    const notForked = (error: unknown) => this.#ended(place, null, { kind: 'not-forked', error })
    let worker: Worker
    try {
      worker = cluster.fork()
    } catch (error) {
      notForked(error)
      return
    }
    // Of signals and messages to one that has just died: its end is heard of anyway.
    worker.on('error', () => {})
    if (worker.process.pid === undefined) {
      // What was never there does not exit: this is all that is heard of it.
      worker.once('error', (error) => {
        // Where files have run out it does not even disconnect, and `node:cluster` would keep it.
        delete cluster.workers?.[worker.id]
        notForked(error)
      })
      return
    }
    this.#handovers.watch(worker)
    place.worker = worker
    worker.on('message', (value: unknown) => {
      const message = parseWorkerMessage(value)
      if (message !== null) this.#hear(place, worker, message)
    })
    worker.once('exit', (code, signal) => this.#ended(place, worker, { kind: 'exited', code, signal }))
  }

  #hear(place: Place, worker: Worker, message: WorkerMessage): void {
    switch (message.kind) {
      case 'ready':
        place.servesSince = this.#options.clock.monotonic()
        place.served = true
        place.onStart?.({ kind: 'serving', served: message.served })
        break
      case 'failed':
        place.failure = message
        break
      case 'question':
        void this.#answer(worker, message.id, message.question)
        break
      case 'answer':
        this.#survey.answered(place, message.id, message.answer)
        break
      default:
        message satisfies never
    }
  }

  async #answer(asker: Worker, id: number, question: Question): Promise<void> {
    const answers = await this.#ask(question)
    const answer =
      question === 'metrics'
        ? this.#metrics.page(
            new Map([...answers].map(([place, told]) => [place.number, told])),
            this.#process.families(),
            this.#places.reduce((sum, { restarts }) => sum + restarts, 0),
          )
        : this.#places.map((place) => ({
            worker: place.number,
            pid: place.worker?.process.pid ?? null,
            restarts: place.restarts,
            self: answers.get(place) ?? null,
          }))
    send(asker, { kind: 'answer', id, answer })
  }

  #ask(question: Question): Promise<ReadonlyMap<Place, unknown>> {
    const serving = this.#places.flatMap((place) => {
      const { worker, servesSince } = place
      if (worker === null || servesSince === null) return []
      return [[place, (id: number) => send(worker, { kind: 'question', id, question })] as const]
    })
    return this.#survey.ask(new Map(serving))
  }

  #ended(place: Place, worker: Worker | null, end: End): void {
    const { clock, log } = this.#options
    const { servesSince, failure, number } = place
    this.#survey.gone(place)
    this.#metrics.ended(number)
    place.worker = null
    place.servesSince = null
    place.onStart?.(this.#failed(failure, end))
    // At the very start, one whose place has never served ends it.
    if (this.#stopping || !(this.#started || place.served)) return
    const pause = place.delay.next(servesSince === null ? 0 : clock.monotonic() - servesSince)
    const { exitCode, signal, ...error } =
      end.kind === 'exited'
        ? { exitCode: end.code, signal: end.signal }
        : { exitCode: null, signal: null, ...errorFields(end.error) }
    log.warn('worker.ended', {
      ...{ worker: number, pid: worker?.process.pid ?? null, exitCode, signal, pauseMs: pause, ...error },
      ...(failure === null ? {} : { errorMessage: failure.message }),
    })
    place.pause = setTimeout(() => {
      place.pause = null
      place.restarts++
      this.#fork(place)
    }, pause)
  }

  #failed(failure: Place['failure'], end: End): Start {
    const code = end.kind === 'exited' ? end.code : null
    return {
      kind: 'failed',
      message: failure?.message ?? reasonOf(end),
      exitCode: this.#stopping ? 0 : failure?.exitCode || code || unexplained,
    }
  }
}

const entry = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './worker-main.ts' : './worker-main.js', import.meta.url),
)

/** For people, why a worker that said nothing has ended; null where it has logged why. */
function reasonOf(end: End): string | null {
  switch (end.kind) {
    case 'exited':
      return end.signal === null ? null : `A worker was ended by ${end.signal} before it served.`
    case 'not-forked':
      return `A worker could not be started: ${end.error instanceof Error ? end.error.message : end.error}.`
    default:
      return end satisfies never
  }
}

function send(worker: Worker, message: SupervisorMessage): boolean {
  if (!worker.isConnected()) return false
  // Who dies at this moment is noticed by its end.
  worker.send(message, () => {})
  return true
}
