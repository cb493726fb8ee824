import type { Machine } from './machine.ts'
import type { Measurement } from './measure.ts'

/** What a run has shown. */
export interface Results {
  /** ISO 8601. */
  readonly startedAt: string
  readonly command: string
  readonly machine: Machine
  readonly rounds: number
  readonly seconds: number
  readonly workloads: readonly WorkloadResults[]
  /** Memory in bytes of gateway and database together before the first request, by target. */
  readonly atRest: readonly { readonly target: string; readonly memory: number }[]
  /** How each target was set up. */
  readonly targets: readonly { readonly name: string; readonly note: string }[]
  /** What could not be measured, and why. */
  readonly missing: readonly { readonly names: readonly string[]; readonly reason: string }[]
}

export interface WorkloadResults {
  readonly name: string
  readonly title: string
  readonly kind: 'closed-loop' | 'streams' | 'steady'
  readonly targets: readonly TargetResults[]
}

export interface TargetResults {
  readonly name: string
  /** In the order of the rounds. */
  readonly rounds: readonly Measurement[]
  /** The median of each figure by itself; `failed` is the sum. */
  readonly median: Measurement
}

/** The median of each figure over some rounds, and the sum of the failures. Throws where there are none. */
export function medianOf(rounds: readonly Measurement[]): Measurement {
  const figure = (of: (round: Measurement) => number) => median(rounds.map(of))
  const maybe = (of: (round: Measurement) => number | null) => {
    const known = rounds.map(of).filter((value) => value !== null)
    return known.length === 0 ? null : median(known)
  }
  return {
    unitsPerSecond: figure((round) => round.unitsPerSecond),
    p50: figure((round) => round.p50),
    p99: figure((round) => round.p99),
    cpu: maybe((round) => round.cpu),
    databaseCpu: maybe((round) => round.databaseCpu),
    memory: maybe((round) => round.memory),
    failed: rounds.reduce((sum, round) => sum + round.failed, 0),
  }
}

/** The median of some figures. Throws RangeError where there are none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  if (upper === undefined || lower === undefined) throw new RangeError('no figures have no median')
  return (upper + lower) / 2
}
