import type { Family, HistogramFigures, Labels, Sample } from './exposition.ts'

/** The metrics of one worker, as it is called in the label `worker`. */
export interface WorkerFamilies {
  readonly worker: string
  readonly families: readonly Family[]
}

/**
 * One page for several workers: counters, histograms and most gauges are sums; some are the largest value, and those that
 * say something of one process alone stand once for each, with the label `worker`. `past` is what has been counted by
 * workers that don't tell now.
 */
export function mergeFamilies(
  workers: readonly WorkerFamilies[],
  past: readonly (readonly Family[])[] = [],
): readonly Family[] {
  const merged = new Map<string, Family>()
  for (const { worker, families } of workers) {
    for (const family of families) {
      const labelled = family.workers === 'each' ? withWorker(family, worker) : family
      const known = merged.get(family.name)
      merged.set(family.name, known === undefined ? labelled : add(known, labelled))
    }
  }
  for (const family of past.flat().filter(isTally)) {
    const known = merged.get(family.name)
    merged.set(family.name, known === undefined ? family : add(known, family))
  }
  return [...merged.values()]
}

/** What of `families` stays true when their worker has gone: sums over time. */
export function tallies(families: readonly Family[]): readonly Family[] {
  return families.filter(isTally)
}

function isTally({ kind, workers }: Family): boolean {
  return kind !== 'gauge' && (workers ?? 'sum') === 'sum'
}

function withWorker(family: Family, worker: string): Family {
  const labelled = ({ labels }: { readonly labels: Labels }) => ({ ...labels, worker })
  return family.kind === 'histogram'
    ? { ...family, series: family.series.map((each) => ({ ...each, labels: labelled(each) })) }
    : { ...family, samples: family.samples.map((each) => ({ ...each, labels: labelled(each) })) }
}

function add(one: Family, other: Family): Family {
  if (one.kind === 'histogram') {
    if (other.kind !== 'histogram') return one
    const series = byLabels([...one.series, ...other.series], (left, right) => ({
      labels: left.labels,
      histogram: addHistograms(left.histogram, right.histogram),
    }))
    return { ...one, series }
  }
  if (other.kind === 'histogram') return one
  const choose = one.workers === 'most' ? Math.max : (left: number, right: number) => left + right
  const combine = (left: Sample, right: Sample) => ({
    labels: left.labels,
    value: choose(left.value, right.value),
  })
  return { ...one, samples: byLabels([...one.samples, ...other.samples], combine) }
}

function byLabels<Each extends { readonly labels: Labels }>(
  all: readonly Each[],
  combine: (left: Each, right: Each) => Each,
): readonly Each[] {
  const found = new Map<string, Each>()
  for (const each of all) {
    const key = JSON.stringify(each.labels)
    const known = found.get(key)
    found.set(key, known === undefined ? each : combine(known, each))
  }
  return [...found.values()]
}

/** Of the same metric, so both have the same bounds; after an upgrade on disk, what had others is left out. */
function addHistograms(one: HistogramFigures, other: HistogramFigures): HistogramFigures {
  if (one.bounds.join() !== other.bounds.join()) return one
  return {
    bounds: one.bounds,
    counts: [...one.counts].map((count, index) => count + (other.counts[index] ?? 0)),
    sum: one.sum + other.sum,
  }
}
