import { setTimeout as sleep } from 'node:timers/promises'
import { type ChangeKind, changeKinds, prepare } from './changes.ts'
import { type Lag, measureLag } from './lag.ts'
import { type Stage, startStage } from './stage.ts'

export interface Measured {
  readonly kind: ChangeKind
  readonly channels: 'both' | 'neither'
  readonly count: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly p100: number
  readonly violations: readonly string[]
}

export interface Size {
  /** How many revocations are measured with the channels up, and again with them cut; of each other change a tenth, or two. */
  readonly revocations: number
}

const bounds = { both: 2000, neither: 12_000 } as const
/** With the channels cut each takes a second or two: so many are under way at once, begun one after the other. */
const atOnce = 20
const staggerMs = 97
const pauseMs = 10

/** Measures every kind of change with NOTIFY and Redis's messages there, then without both. */
export async function measureAll(
  { revocations }: Size,
  say: (text: string) => void,
): Promise<readonly Measured[]> {
  const stage = await startStage()
  try {
    const measured: Measured[] = []
    for (const channels of ['both', 'neither'] as const) {
      if (channels === 'neither') stage.cutChannels()
      const first = channels === 'both' ? 0 : 10_000
      const tasks = changeKinds.flatMap((kind) => {
        const count = kind === 'revoke' ? revocations : Math.max(2, Math.round(revocations / 10))
        return Array.from({ length: count }, (_, index) => ({ kind, number: first + index }))
      })
      const taken = await (channels === 'both' ? inTurn(stage, tasks) : staggered(stage, tasks))
      for (const kind of changeKinds) {
        const lags = taken.filter((each) => each.kind === kind).map(({ lag }) => lag)
        const result = summary(kind, channels, lags)
        say(
          `${kind}, ${channels === 'both' ? 'both channels' : 'channels cut'}: p100 ${result.p100} ms of ${result.count}`,
        )
        measured.push(result)
      }
    }
    return measured
  } finally {
    await stage.discard()
  }
}

interface Task {
  readonly kind: ChangeKind
  readonly number: number
}

interface Taken {
  readonly kind: ChangeKind
  readonly lag: Lag
}

/** One after the other, in as tight a loop of requests as one client makes. */
async function inTurn(stage: Stage, tasks: readonly Task[]): Promise<readonly Taken[]> {
  const taken: Taken[] = []
  for (const { kind, number } of tasks)
    taken.push({ kind, lag: await measureLag(stage.gateways, await prepare(stage, kind, number)) })
  return taken
}

/** Several at once, at moments that no poll's rhythm fits. */
async function staggered(stage: Stage, tasks: readonly Task[]): Promise<readonly Taken[]> {
  const taken: Taken[] = []
  const left = tasks.values()
  const workers = Array.from({ length: Math.min(atOnce, tasks.length) }, async (_, worker) => {
    await sleep(worker * staggerMs)
    for (const { kind, number } of left) {
      const change = await prepare(stage, kind, number)
      taken.push({ kind, lag: await measureLag(stage.gateways, change, pauseMs) })
    }
  })
  await Promise.all(workers)
  return taken
}

function summary(kind: ChangeKind, channels: Measured['channels'], lags: readonly Lag[]): Measured {
  const sorted = lags.map(({ milliseconds }) => Math.round(milliseconds)).sort((left, right) => left - right)
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)] ?? 0
  const bound = bounds[channels]
  const late = sorted.filter((lag) => lag > bound).length
  const relapses = lags.reduce((sum, lag) => sum + lag.relapses, 0)
  const violations = [
    ...(late > 0 ? [`${kind}: ${late} of ${lags.length} took over ${bound} ms`] : []),
    ...(relapses > 0 ? [`${kind}: ${relapses} times a gateway served as before once it had known`] : []),
  ]
  return { kind, channels, count: lags.length, p50: at(0.5), p99: at(0.99), p100: at(1), violations }
}
