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
  /** How many revocations are measured with the channels up, and again with them cut; of each other change a tenth. */
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
      for (const kind of changeKinds) {
        const count = kind === 'revoke' ? revocations : Math.max(3, Math.round(revocations / 10))
        const lags =
          channels === 'both' ? await inTurn(stage, kind, count) : await staggered(stage, kind, count)
        const result = summary(kind, channels, lags)
        say(
          `${kind}, ${channels === 'both' ? 'both channels' : 'channels cut'}: p100 ${result.p100} ms of ${count}`,
        )
        measured.push(result)
      }
    }
    return measured
  } finally {
    await stage.discard()
  }
}

/** One after the other, in as tight a loop of requests as one client makes. */
async function inTurn(stage: Stage, kind: ChangeKind, count: number): Promise<readonly Lag[]> {
  const lags: Lag[] = []
  for (let number = 0; number < count; number++)
    lags.push(await measureLag(stage.gateways, await prepare(stage, kind, number)))
  return lags
}

/** Several at once, at moments that no poll's rhythm fits. */
async function staggered(stage: Stage, kind: ChangeKind, count: number): Promise<readonly Lag[]> {
  const lags: Lag[] = []
  let next = 0
  const workers = Array.from({ length: Math.min(atOnce, count) }, async (_, worker) => {
    await sleep(worker * staggerMs)
    while (next < count) {
      const change = await prepare(stage, kind, 10_000 + next++)
      lags.push(await measureLag(stage.gateways, change, pauseMs))
    }
  })
  await Promise.all(workers)
  return lags
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
