// Load of ours, in a process of its own: its time is not the gateway's. For what wrk can't do: streams that are
// paced, and rates that are fixed.
import { createHistogram } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import { eachAge } from '../provider/marks.ts'
import { type Ending, exchange } from './exchange.ts'
import { type LoadNews, type LoadTask, taskShape } from './task.ts'

type StreamsTask = Extract<LoadTask, { kind: 'streams' }>
type SteadyTask = Extract<LoadTask, { kind: 'steady' }>
type MixedTask = Extract<LoadTask, { kind: 'mixed' }>
type EachKeyTask = Extract<LoadTask, { kind: 'each-key' }>

process.on('message', async (message) => {
  const task = taskShape.parse(message)
  const { origin, pathname } = new URL(task.url)
  const pool = new Pool(origin, { pipelining: 1 })
  tell({ kind: 'done', ...(await run(task, pool, pathname)) })
  if (!pool.destroyed) await pool.close()
})

/** What came of a task. */
interface Outcome {
  readonly sent: number
  readonly failed: number
}

function run(task: LoadTask, pool: Pool, path: string): Promise<Outcome> {
  switch (task.kind) {
    case 'streams':
      return streams(task, pool, path)
    case 'steady':
      return steady(task, pool, path)
    case 'mixed':
      return mixed(task, pool, path)
    case 'each-key':
      return eachKey(task, pool, path)
    default:
      return task satisfies never
  }
}

async function streams(task: StreamsTask, pool: Pool, path: string): Promise<Outcome> {
  const window = new Window()
  const ended: Promise<Ending>[] = []
  const onData = (chunk: Buffer) => eachAge(chunk, (age) => window.record(age))
  for (let opened = 0; opened < task.streams; opened++) {
    ended.push(exchange(pool, { ...task, path, onData }))
    if (opened % 16 === 15) await sleep((16 * task.rampMs) / task.streams)
  }
  await sleep(task.settleMs)
  await window.look(task.forMs)
  return outcomeOf(await allEnded(ended, pool, task.graceMs))
}

async function steady(task: SteadyTask, pool: Pool, path: string): Promise<Outcome> {
  const window = new Window()
  const ended: Promise<Ending>[] = []
  const sending = send()
  await sleep(task.settleMs)
  await window.look(task.forMs)
  await sending
  return outcomeOf(await allEnded(ended, pool, task.graceMs))

  async function send(): Promise<void> {
    const begun = performance.now()
    for (
      let sent = 0, elapsed = 0;
      elapsed < task.settleMs + task.forMs;
      elapsed = performance.now() - begun
    ) {
      for (; sent < (elapsed * task.perSecond) / 1000; sent++) {
        const sentAt = performance.now()
        const answered = exchange(pool, { ...task, path })
        ended.push(answered)
        void answered.then(() => window.record((performance.now() - sentAt) * 1000))
      }
      await sleep(1)
    }
  }
}

async function mixed(task: MixedTask, pool: Pool, path: string): Promise<Outcome> {
  const { headers, bodies, atOnce, leaveEvery, forMs } = task
  const until = performance.now() + forMs
  const endings: Ending[] = []
  let sent = 0
  const lane = async () => {
    while (performance.now() < until) {
      const turn = sent++
      const body = bodies[turn % bodies.length] ?? ''
      // Neither divides the other, so that each body is left in each way.
      const leaves = turn % leaveEvery === leaveEvery - 1
      const leave = turn % (2 * leaveEvery) < leaveEvery ? 'sent' : 'answered'
      endings.push(await exchange(pool, { path, headers, body, ...(leaves ? { leave } : {}) }))
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  return outcomeOf(endings)
}

async function eachKey(task: EachKeyTask, pool: Pool, path: string): Promise<Outcome> {
  const keys = task.keys.values()
  const endings: Ending[] = []
  const lane = async () => {
    for (const key of keys) {
      const headers = { ...task.headers, authorization: `Bearer ${key}` }
      endings.push(await exchange(pool, { ...task, path, headers }))
    }
  }
  await Promise.all(Array.from({ length: task.atOnce }, lane))
  return outcomeOf(endings)
}

/** The stretch of time that is looked at. */
class Window {
  readonly #histogram = createHistogram()
  #open = false
  #count = 0

  record(microseconds: number): void {
    if (!this.#open) return
    this.#count++
    this.#histogram.record(Math.max(1, Math.round(microseconds)))
  }

  async look(milliseconds: number): Promise<void> {
    this.#open = true
    const begun = performance.now()
    tell({ kind: 'begun' })
    await sleep(milliseconds)
    this.#open = false
    const histogram = this.#histogram
    tell({
      kind: 'ended',
      count: this.#count,
      seconds: (performance.now() - begun) / 1000,
      p50: histogram.percentile(50),
      p99: histogram.percentile(99),
    })
  }
}

/** How all of them ended: by themselves, or failed for lasting longer than `graceMs` from now. */
async function allEnded(
  ended: readonly Promise<Ending>[],
  pool: Pool,
  graceMs: number,
): Promise<readonly Ending[]> {
  const late = setTimeout(() => void pool.destroy(), graceMs)
  const all = await Promise.all(ended)
  clearTimeout(late)
  return all
}

function outcomeOf(endings: readonly Ending[]): Outcome {
  return { sent: endings.length, failed: endings.filter((ending) => ending === 'failed').length }
}

function tell(news: LoadNews): void {
  process.send?.(news)
}
