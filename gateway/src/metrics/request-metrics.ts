import { catalogue, type ErrorCode } from '@latchkey/shared'
import type { Observer } from '../proxy/observer.ts'
import type { RequestRecord } from '../records/request-record.ts'
import { Counts } from './counts.ts'
import { counter, type Family } from './exposition.ts'
import { Histogram } from './histogram.ts'
import { ProviderKeyMetrics } from './provider-key-metrics.ts'
import { statusClass, statusClasses } from './status-class.ts'

/** From a cached answer to a long chain of thought. Seconds. */
const durationBounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640]
const overheadBounds = [
  0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
]

/** Codes with which a request can be answered. */
const codes: readonly ErrorCode[] = Object.entries(catalogue).flatMap(([code, { planes }]) =>
  isErrorCode(code) && planes.some((plane) => plane === 'data') ? [code] : [],
)

/** The times of one provider's requests, by whether the answer came as events. */
interface ProviderTimes {
  readonly whole: Times
  readonly streamed: Times
}

interface Times {
  readonly duration: Histogram
  readonly firstByte: Histogram
}

/**
 * What is counted of requests. Every label comes from a list of ours or from what an administrator has named: what
 * clients send makes no series.
 */
export class RequestMetrics implements Observer {
  /** Answers that are the provider's own. */
  readonly #passed = new Counts(statusClasses)
  /** Answers of ours. */
  readonly #answered = new Counts(codes)
  readonly #events = new Counts([
    'left',
    'disconnected',
    'truncated',
    'usageMissing',
    'estimated',
    'attempts',
  ])
  readonly #bytes = new Counts(['request', 'response'])
  readonly #times = new Map<string, ProviderTimes>()
  readonly #overhead = new Histogram(overheadBounds)
  readonly #providerKeys = new ProviderKeyMetrics()

  refused(code: ErrorCode): void {
    this.#answered.add(code)
  }

  ended(record: RequestRecord, providerKeyName: string | null, ownMs: number): void {
    const { code, status, disconnected, provider, attempts } = record
    if (code !== null) this.#answered.add(code)
    else if (disconnected && status === 499) this.#events.add('left')
    else this.#passed.add(statusClass(status))
    if (disconnected) this.#events.add('disconnected')
    this.#bytes.add('request', record.requestBytes)
    this.#bytes.add('response', record.responseBytes)
    if (attempts === 0 || provider === null || providerKeyName === null) return
    if (record.truncated) this.#events.add('truncated')
    if (record.usageMissing) this.#events.add('usageMissing')
    if (record.estimated) this.#events.add('estimated')
    this.#events.add('attempts', attempts)
    this.#overhead.observe(ownMs / 1000)
    const { duration, firstByte } = this.#timesOf(provider, record.streamed)
    duration.observe(record.durationMs / 1000)
    if (record.timeToFirstByteMs !== null) firstByte.observe(record.timeToFirstByteMs / 1000)
    this.#providerKeys.add(provider, providerKeyName, record)
  }

  families(): readonly Family[] {
    const events = this.#events
    return [
      {
        kind: 'counter',
        name: 'latchkey_requests_total',
        help: 'Requests by the class of their status and the code of the answer, where it is ours.',
        samples: [
          ...this.#passed.samples((status) => ({ status, code: 'none' })),
          ...this.#answered.samples((code) => ({ status: statusClass(catalogue[code].status), code })),
          { labels: { status: '4xx', code: 'client_left' }, value: events.of('left') },
        ],
      },
      this.#timesFamily(
        'latchkey_request_duration_seconds',
        'From the head of a request to the last byte of its answer, for requests that were sent.',
        ({ duration }) => duration,
      ),
      this.#timesFamily(
        'latchkey_time_to_first_byte_seconds',
        'From the head of a request to the head of the provider’s answer.',
        ({ firstByte }) => firstByte,
      ),
      {
        kind: 'histogram',
        name: 'latchkey_overhead_seconds',
        help: 'What the gateway itself took of a request that was sent: its time without the waits for client and provider.',
        series: [{ labels: {}, histogram: this.#overhead }],
      },
      counter('latchkey_attempts_total', 'Attempts that were sent to providers.', events.of('attempts')),
      counter(
        'latchkey_client_disconnects_total',
        'Clients that left before the end of their answer.',
        events.of('disconnected'),
      ),
      counter(
        'latchkey_truncated_answers_total',
        'Answers that a provider broke off.',
        events.of('truncated'),
      ),
      counter(
        'latchkey_usage_missing_total',
        'Successful answers that should have told their usage and did not.',
        events.of('usageMissing'),
      ),
      counter(
        'latchkey_estimated_costs_total',
        'Requests whose cost is not the provider’s own figure.',
        events.of('estimated'),
      ),
      counter('latchkey_request_bytes_total', 'Bytes of request bodies.', this.#bytes.of('request')),
      counter('latchkey_response_bytes_total', 'Bytes of providers’ answers.', this.#bytes.of('response')),
      ...this.#providerKeys.families(),
    ]
  }

  #timesFamily(name: string, help: string, pick: (times: Times) => Histogram): Family {
    const series = [...this.#times].flatMap(([provider, { whole, streamed }]) => [
      { labels: { provider, streamed: 'false' }, histogram: pick(whole) },
      { labels: { provider, streamed: 'true' }, histogram: pick(streamed) },
    ])
    return { kind: 'histogram', name, help, series }
  }

  #timesOf(provider: string, streamed: boolean): Times {
    let times = this.#times.get(provider)
    if (times === undefined) {
      times = { whole: newTimes(), streamed: newTimes() }
      this.#times.set(provider, times)
    }
    return streamed ? times.streamed : times.whole
  }
}

function newTimes(): Times {
  return { duration: new Histogram(durationBounds), firstByte: new Histogram(durationBounds) }
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(catalogue, code)
}
