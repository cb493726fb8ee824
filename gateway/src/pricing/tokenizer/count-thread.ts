import { Worker } from 'node:worker_threads'
import { errorFields, type Log } from '@latchkey/shared'
import type { CountAnswer, CountAsk } from './worker.ts'

export interface CountThreadOptions {
  readonly log: Log
  /** Milliseconds after the last count until the thread ends. */
  readonly idleMs: number
  /** Milliseconds that one count may take, loading the tokenizer included. */
  readonly deadlineMs: number
}

export type ThreadCount =
  | { readonly kind: 'counted'; readonly tokens: number }
  /** No answer in time. What is asked for is short enough, so the machine has no time for it now. */
  | { readonly kind: 'late' }
  | { readonly kind: 'failed' }

/** The thread that counts, one text at a time: it starts with the first count and ends when none was asked for a while. */
export class CountThread {
  readonly #options: CountThreadOptions
  #worker: Worker | undefined
  #answer: ((count: ThreadCount) => void) | undefined
  #idle: NodeJS.Timeout | undefined

  constructor(options: CountThreadOptions) {
    this.#options = options
  }

  /** Whether it runs: the tables are in memory. */
  get running(): boolean {
    return this.#worker !== undefined
  }

  /** To be called again only once this has been answered. */
  async count(ask: CountAsk): Promise<ThreadCount> {
    const { log, idleMs, deadlineMs } = this.#options
    clearTimeout(this.#idle)
    this.#worker ??= this.#start()
    const { promise, resolve } = Promise.withResolvers<ThreadCount>()
    this.#answer = resolve
    this.#worker.postMessage(ask)
    const deadline = setTimeout(() => {
      log.warn('tokens.count_timed_out')
      void this.#stop({ kind: 'late' })
    }, deadlineMs)
    const count = await promise
    clearTimeout(deadline)
    if (this.running) this.#idle = setTimeout(() => void this.#stop({ kind: 'late' }), idleMs).unref()
    return count
  }

  async close(): Promise<void> {
    await this.#stop({ kind: 'late' })
  }

  #start(): Worker {
    // Compiled, this file and the thread's are JavaScript.
    const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js'
    const worker = new Worker(new URL(file, import.meta.url))
    worker.unref()
    worker.on('message', ({ tokens }: CountAnswer) => {
      if (worker === this.#worker) this.#answer?.({ kind: 'counted', tokens })
    })
    worker.on('error', (error) => {
      this.#options.log.error('tokens.counter_failed', errorFields(error))
      if (worker === this.#worker) void this.#stop({ kind: 'failed' })
    })
    return worker
  }

  /** Ends the thread; whoever waits for it is told `count`. */
  async #stop(count: ThreadCount): Promise<void> {
    clearTimeout(this.#idle)
    const worker = this.#worker
    this.#worker = undefined
    this.#answer?.(count)
    await worker?.terminate()
  }
}
