export type Labels = Readonly<Record<string, string>>

export interface Sample {
  readonly labels: Labels
  readonly value: number
}

/** What a histogram has counted. */
export interface HistogramFigures {
  /** The upper bounds of the buckets, rising, each inclusive. */
  readonly bounds: readonly number[]
  /** How many values fell into each bucket; one more than there are bounds, for all that is larger. */
  readonly counts: ArrayLike<number> & Iterable<number>
  readonly sum: number
}

/** One metric with all its samples. Durations are seconds, sizes bytes, money dollars. */
export type Family = FamilyHead &
  (
    | { readonly kind: 'counter' | 'gauge'; readonly samples: readonly Sample[] }
    | {
        readonly kind: 'histogram'
        readonly series: readonly { readonly labels: Labels; readonly histogram: HistogramFigures }[]
      }
  )

interface FamilyHead {
  readonly name: string
  readonly help: string
  /** What several workers make of it; the sum, where nothing is said. */
  readonly workers?: Across
}

/** The sum over all workers, the largest value of any, or each one's own. */
type Across = 'sum' | 'most' | 'each'

/** The media type of what `exposition` writes. */
export const expositionType = 'text/plain; version=0.0.4; charset=utf-8'

/** `families` in Prometheus's text format (https://prometheus.io/docs/instrumenting/exposition_formats/). */
export function exposition(families: readonly Family[]): string {
  const lines: string[] = []
  for (const family of families) {
    const { name, help, kind } = family
    lines.push(`# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`)
    lines.push(`# TYPE ${name} ${kind}`)
    if (family.kind === 'histogram')
      for (const { labels, histogram } of family.series) writeHistogram(lines, name, labels, histogram)
    else for (const { labels, value } of family.samples) lines.push(`${name}${braced(labels)} ${value}`)
  }
  return `${lines.join('\n')}\n`
}

/** One number, which only goes up. */
export function counter(name: string, help: string, value: number, workers: Across = 'sum'): Family {
  return { kind: 'counter', name, help, workers, samples: [{ labels: {}, value }] }
}

/** One number, as it is now. */
export function gauge(name: string, help: string, value: number, workers: Across = 'sum'): Family {
  return { kind: 'gauge', name, help, workers, samples: [{ labels: {}, value }] }
}

function writeHistogram(
  lines: string[],
  name: string,
  labels: Labels,
  { bounds, counts, sum }: HistogramFigures,
) {
  let below = 0
  for (const [index, count] of [...counts].entries()) {
    below += count
    const le = bounds[index] ?? '+Inf'
    lines.push(`${name}_bucket${braced({ ...labels, le: String(le) })} ${below}`)
  }
  lines.push(`${name}_sum${braced(labels)} ${sum}`)
  lines.push(`${name}_count${braced(labels)} ${below}`)
}

function braced(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
