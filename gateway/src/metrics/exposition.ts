import type { Histogram } from './histogram.ts'

export type Labels = Readonly<Record<string, string>>

export interface Sample {
  readonly labels: Labels
  readonly value: number
}

/** One metric with all its samples. Durations are seconds, sizes bytes, money dollars. */
export type Family =
  | {
      readonly kind: 'counter' | 'gauge'
      readonly name: string
      readonly help: string
      readonly samples: readonly Sample[]
    }
  | {
      readonly kind: 'histogram'
      readonly name: string
      readonly help: string
      readonly series: readonly { readonly labels: Labels; readonly histogram: Histogram }[]
    }

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
export function counter(name: string, help: string, value: number): Family {
  return { kind: 'counter', name, help, samples: [{ labels: {}, value }] }
}

/** One number, as it is now. */
export function gauge(name: string, help: string, value: number): Family {
  return { kind: 'gauge', name, help, samples: [{ labels: {}, value }] }
}

function writeHistogram(lines: string[], name: string, labels: Labels, { bounds, counts, sum }: Histogram) {
  let below = 0
  for (const [index, count] of counts.entries()) {
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
