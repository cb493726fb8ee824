import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { Clock } from '@latchkey/shared'
import { counter, type Family, gauge } from './exposition.ts'

/** Of event loop delays: what is measured between two scrapes is thrown away at the second, if that is so late. */
const freshMs = 10_000
const quantiles = [0.5, 0.9, 0.99, 1]
const resolutionMs = 20

/** What the process takes of its machine, and how long its event loop keeps everybody waiting. */
export class ProcessMetrics {
  readonly #clock: Clock
  readonly #delay = monitorEventLoopDelay({ resolution: resolutionMs })
  #delays: readonly number[] = []
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
    this.#delay.enable()
  }

  families(): readonly Family[] {
    const memory = process.memoryUsage()
    const { user, system } = process.cpuUsage()
    const delays = this.#readDelays()
    return [
      {
        kind: 'gauge',
        name: 'latchkey_event_loop_delay_seconds',
        help: 'How late the event loop was since the scrape before; quantile 1 is the longest.',
        workers: 'each',
        samples: quantiles.map((quantile, index) => ({
          labels: { quantile: String(quantile) },
          value: delays[index] ?? 0,
        })),
      },
      counter(
        'latchkey_event_loop_active_seconds_total',
        'Time in which the event loop was busy: its rate is the share of one core.',
        performance.eventLoopUtilization().active / 1000,
        'each',
      ),
      counter('process_cpu_seconds_total', 'User and system CPU time.', (user + system) / 1e6, 'each'),
      gauge('process_resident_memory_bytes', 'Resident memory.', memory.rss, 'each'),
      gauge(
        'process_start_time_seconds',
        'Start of the process since the epoch.',
        performance.timeOrigin / 1000,
        'each',
      ),
      gauge('nodejs_heap_size_total_bytes', 'Heap that V8 has taken.', memory.heapTotal, 'each'),
      gauge('nodejs_heap_size_used_bytes', 'Heap that is in use.', memory.heapUsed, 'each'),
      gauge('nodejs_external_memory_bytes', 'Memory of buffers outside the heap.', memory.external, 'each'),
    ]
  }

  close(): void {
    this.#delay.disable()
  }

  /** Two scrapers shortly after each other are told the same. */
  #readDelays(): readonly number[] {
    const now = this.#clock.monotonic()
    if (now - this.#lookedAt < freshMs) return this.#delays
    this.#lookedAt = now
    // It measures intervals of its timer, of which only what exceeds the resolution is a delay.
    const delayOf = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - resolutionMs / 1000)
    this.#delays =
      this.#delay.count === 0
        ? []
        : quantiles.map((quantile) =>
            delayOf(quantile === 1 ? this.#delay.max : this.#delay.percentile(quantile * 100)),
          )
    this.#delay.reset()
    return this.#delays
  }
}
