// Sends requests in a process of its own, as its parent says: its time is not the gateway's.
import { constants, setPriority } from 'node:os'
import { createHistogram } from 'node:perf_hooks'
import { bogusKey } from '../support/bogus-keys.ts'
import { sendSteadily } from './send-steadily.ts'

/** What a sender is told to do, one after the other. */
export interface SenderTask {
  readonly url: string
  /** A key that works. */
  readonly key: string
  /** Whether that is sent, or keys that open nothing. */
  readonly keys: 'good' | 'bogus'
  readonly perSecond: number
  readonly forMs: number
}

/** What came of a task. */
export interface SenderReport {
  /** How many requests were answered with which status. */
  readonly statuses: readonly (readonly [status: number, count: number])[]
  /** Milliseconds from when a request was due to the end of its answer. */
  readonly p50: number
  readonly p99: number
}

let sent = 0

process.on('message', async (task: SenderTask) => {
  // A flood comes from other machines: here, what makes it gives way to the gateway where both want a core.
  if (task.keys === 'bogus') setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
  const histogram = createHistogram()
  const { statuses } = await sendSteadily({
    url: task.url,
    perSecond: task.perSecond,
    key: () => (task.keys === 'good' ? task.key : bogusKey(task.key, sent++)),
    until: performance.now() + task.forMs,
    took: (milliseconds) => histogram.record(Math.max(1, Math.round(milliseconds * 1000))),
  })
  const report: SenderReport = {
    statuses: [...statuses],
    p50: histogram.percentile(50) / 1000,
    p99: histogram.percentile(99) / 1000,
  }
  process.send?.(report)
})
