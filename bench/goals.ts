import { median, type Results, type TargetResults } from './results.ts'

/** A figure that the project has promised itself, and what a run shows of it. */
export interface Goal {
  readonly figure: string
  readonly must: string
  readonly hoped: string
  /** Null: the run has not measured it. */
  readonly value: number | null
  readonly met: boolean | null
}

type Figure = (results: Results) => number | null

interface GoalDefinition {
  readonly figure: string
  readonly atMost?: number
  readonly atLeast?: number
  readonly hoped: number
  readonly unit: string
  readonly value: Figure
}

const mebibyte = 2 ** 20

const definitions: readonly GoalDefinition[] = [
  {
    figure: 'small JSON, everything on: CPU a request against bare',
    ...{ atMost: 1.5, hoped: 1.25, unit: 'x', value: cpuRatio('json', 'latchkey', 'bare') },
  },
  {
    figure: 'SSE burst, everything on: CPU a request against bare',
    ...{ atMost: 1.4, hoped: 1.2, unit: 'x', value: cpuRatio('sse', 'latchkey', 'bare') },
  },
  {
    figure: 'paced SSE (64 streams), everything on: CPU an event against bare',
    ...{ atMost: 1.15, hoped: 1.05, unit: 'x', value: cpuRatio('paced-64', 'latchkey', 'bare') },
  },
  {
    figure: 'small JSON: requests a second against Portkey',
    ...{ atLeast: 7, hoped: 10, unit: 'x', value: speedRatio('json', 'latchkey', 'portkey') },
  },
  {
    figure: 'SSE burst: requests a second against Portkey',
    ...{ atLeast: 6, hoped: 10, unit: 'x', value: speedRatio('sse', 'latchkey', 'portkey') },
  },
  {
    figure: 'small JSON: requests a second against LiteLLM',
    ...{ atLeast: 1, hoped: 3, unit: 'x', value: speedRatio('json', 'latchkey', 'litellm') },
  },
  {
    figure: 'small JSON: requests a second against Bifrost',
    ...{ atLeast: 1, hoped: 3, unit: 'x', value: speedRatio('json', 'latchkey', 'bifrost') },
  },
  {
    figure: 'added to the provider alone at 500/s, p50',
    ...{ atMost: 0.7, hoped: 0.4, unit: ' ms', value: added('p50') },
  },
  {
    figure: 'added to the provider alone at 500/s, p99',
    ...{ atMost: 5, hoped: 2, unit: ' ms', value: added('p99') },
  },
  {
    figure: 'small JSON, server mode with limits in Redis: CPU a request against embedded',
    ...{ atMost: 1.3, hoped: 1.15, unit: 'x', value: cpuRatio('json', 'latchkey-redis', 'latchkey') },
  },
  {
    figure: 'two workers against one, on all cores with the load beside them: requests a second',
    ...{ atLeast: 1.3, hoped: 1.5, unit: 'x' },
    value: speedRatio('json', 'latchkey-two-workers', 'latchkey-one-worker'),
  },
  {
    figure: 'many keys in turn: CPU a request against one key',
    ...{ atMost: 1.15, hoped: 1.05, unit: 'x', value: manyKeys },
  },
  {
    figure: '1,000 streams at 20 events/s: memory',
    ...{ atMost: 350, hoped: 200, unit: ' MiB', value: memory('paced-1000', 'latchkey') },
  },
  {
    figure: "1,000 streams at 20 events/s: p99 of an event's delay",
    ...{ atMost: 25, hoped: 25, unit: ' ms', value: delay('paced-1000', 'latchkey') },
  },
  {
    figure: 'memory at rest, embedded, gateway and database',
    ...{ atMost: 200, hoped: 120, unit: ' MiB', value: atRest('latchkey') },
  },
]

/** The goals, with what this run shows of each. */
export function goalsOf(results: Results): readonly Goal[] {
  return definitions.map(({ figure, atMost, atLeast, hoped, unit, value: of }) => {
    const value = of(results)
    const sign = atMost === undefined ? '≥' : '≤'
    const met = value === null ? null : value <= (atMost ?? value) && value >= (atLeast ?? value)
    return { figure, must: `${sign} ${atMost ?? atLeast}${unit}`, hoped: `${hoped}${unit}`, value, met }
  })
}

function cpuRatio(workload: string, target: string, base: string): Figure {
  return (results) => ratio(find(results, workload, target), find(results, workload, base), ({ cpu }) => cpu)
}

function speedRatio(workload: string, target: string, base: string): Figure {
  return (results) =>
    ratio(find(results, workload, target), find(results, workload, base), (round) => round.unitsPerSecond)
}

/** The median of what each round shows against the same round of `base`; null where either was not measured. */
export function ratio(
  target: TargetResults | undefined,
  base: TargetResults | undefined,
  of: (round: TargetResults['median']) => number | null,
): number | null {
  const ratios: number[] = []
  target?.rounds.forEach((round, index) => {
    const other = base?.rounds[index]
    const [value, against] = [of(round), other === undefined ? null : of(other)]
    if (value !== null && against !== null && against > 0) ratios.push(value / against)
  })
  return ratios.length === 0 ? null : median(ratios)
}

function added(percentile: 'p50' | 'p99'): Figure {
  return (results) => {
    const [through, alone] = [find(results, 'rate', 'latchkey'), find(results, 'rate', 'provider')]
    if (through === undefined || alone === undefined) return null
    return (through.median[percentile] - alone.median[percentile]) / 1000
  }
}

function manyKeys(results: Results): number | null {
  const targets = results.workloads.find(({ name }) => name === 'keys')?.targets ?? []
  const one = targets.find(({ name }) => name.endsWith(', 1 key'))
  const many = targets.find(({ name }) => name.endsWith(' keys'))
  return ratio(many, one, ({ cpu }) => cpu)
}

function memory(workload: string, target: string): Figure {
  return (results) => {
    const bytes = find(results, workload, target)?.median.memory ?? null
    return bytes === null ? null : bytes / mebibyte
  }
}

function delay(workload: string, target: string): Figure {
  return (results) => {
    const p99 = find(results, workload, target)?.median.p99
    return p99 === undefined ? null : p99 / 1000
  }
}

function atRest(target: string): Figure {
  return (results) => {
    const found = results.atRest.find((rest) => rest.target === target)
    return found === undefined ? null : found.memory / mebibyte
  }
}

function find({ workloads }: Results, workload: string, target: string): TargetResults | undefined {
  return workloads.find(({ name }) => name === workload)?.targets.find(({ name }) => name === target)
}
