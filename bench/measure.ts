import type { Loader } from './load/loader.ts'
import type { LoadNews } from './load/task.ts'
import { runWrk } from './load/wrk.ts'
import { type Usage, usageOf } from './processes.ts'
import type { Surroundings, Target } from './targets/target.ts'
import { rampMs, settleMs, type Workload } from './workloads.ts'

/** How long after a look all that was begun may take to end: a gateway that is overloaded must end, too. */
const graceMs = 10_000

/** What one round of a workload showed of a target. A `unit` is a request, or an event of a stream. */
export interface Measurement {
  readonly unitsPerSecond: number
  /** Microseconds: of a request from its first byte to its last, or of an event on its way. */
  readonly p50: number
  readonly p99: number
  /** Microseconds of all its processes a unit; null for what has no processes. */
  readonly cpu: number | null
  /** The part of it that Postgres takes. */
  readonly databaseCpu: number | null
  /** Bytes of all its processes at the end; null likewise. */
  readonly memory: number | null
  /** Requests that were refused or broke off. */
  readonly failed: number
}

/** What measures. */
export interface Instruments extends Pick<Surroundings, 'directory' | 'cores'> {
  readonly loader: Loader
}

/** A target, and the keys to be sent in turn in place of its own; null: its own. */
export interface Contestant extends Target {
  readonly keys: readonly string[] | null
}

/** Gives `target` the workload for `seconds` and looks at what it takes. */
export function measure(
  instruments: Instruments,
  workload: Workload,
  target: Contestant,
  seconds: number,
): Promise<Measurement> {
  return workload.kind === 'closed-loop'
    ? measureClosedLoop(instruments, workload, target, seconds)
    : measureWindow(instruments, workload, target, seconds)
}

async function measureClosedLoop(
  { directory, cores }: Instruments,
  workload: Extract<Workload, { kind: 'closed-loop' }>,
  target: Contestant,
  seconds: number,
): Promise<Measurement> {
  const before = usageOf(target.pids)
  const report = await runWrk({
    ...{ url: target.url, connections: workload.connections, seconds, core: cores.load, directory },
    ...requestOf(workload, target, seconds),
    keys: target.keys,
  })
  return {
    unitsPerSecond: report.requests / report.seconds,
    p50: report.p50,
    p99: report.p99,
    failed: report.failed,
    ...cost(target, before, usageOf(target.pids), report.requests),
  }
}

async function measureWindow(
  { loader }: Instruments,
  workload: Extract<Workload, { kind: 'streams' | 'steady' }>,
  target: Contestant,
  seconds: number,
): Promise<Measurement> {
  const request = {
    url: target.url,
    ...requestOf(workload, target, seconds),
    settleMs,
    forMs: seconds * 1000,
    graceMs,
  }
  let before: Usage | null = null
  let after: Usage | null = null
  let ended: Extract<LoadNews, { kind: 'ended' }> | null = null
  const hear = (news: LoadNews) => {
    if (news.kind === 'begun') before = usageOf(target.pids)
    if (news.kind !== 'ended') return
    after = usageOf(target.pids)
    ended = news
  }
  const { kind } = workload
  const { failed } = await loader.run(
    kind === 'streams'
      ? { kind, ...request, streams: workload.streams, rampMs }
      : { kind, ...request, perSecond: workload.perSecond },
    hear,
  )
  return report(ended, before, after, target, failed)
}

function report(
  ended: Extract<LoadNews, { kind: 'ended' }> | null,
  before: Usage | null,
  after: Usage | null,
  target: Target,
  failed: number,
): Measurement {
  if (ended === null || before === null || after === null) throw new Error('the load has told nothing')
  const { count, seconds, p50, p99 } = ended
  return { unitsPerSecond: count / seconds, p50, p99, failed, ...cost(target, before, after, count) }
}

function cost(
  { pids }: Target,
  before: Usage,
  after: Usage,
  units: number,
): Pick<Measurement, 'cpu' | 'databaseCpu' | 'memory'> {
  if (pids.length === 0) return { cpu: null, databaseCpu: null, memory: null }
  const each = (milliseconds: number) => (milliseconds * 1000) / Math.max(1, units)
  return {
    cpu: each(after.cpuMs - before.cpuMs),
    databaseCpu: each(after.databaseCpuMs - before.databaseCpuMs),
    memory: after.memory,
  }
}

/** What is sent to `target`. */
export function requestOf(workload: Workload, target: Target, seconds: number) {
  const body = workload.body(seconds)
  return {
    headers: requestHeaders(target),
    body: target.model === null ? body : body.replace('"gpt-4o-mini"', JSON.stringify(target.model)),
  }
}

/** The headers that OpenAI's SDK for JavaScript sends, and those that the target asks for. */
export function requestHeaders(target: Target) {
  return {
    accept: 'application/json',
    'content-type': 'application/json',
    'user-agent': 'OpenAI/JS 6.1.0',
    'x-stainless-lang': 'js',
    'x-stainless-package-version': '6.1.0',
    'x-stainless-os': 'Linux',
    'x-stainless-arch': 'x64',
    'x-stainless-runtime': 'node',
    'x-stainless-runtime-version': 'v24.0.0',
    'x-stainless-retry-count': '0',
    'accept-language': '*',
    'accept-encoding': 'gzip, deflate',
    ...target.headers,
  }
}
