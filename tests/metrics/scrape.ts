import { expect } from 'vitest'
import type { TestGateway } from '../support/gateway.ts'
import { ask } from '../support/http-client.ts'

export interface ScrapedSample {
  /** With the suffix of a histogram's parts. */
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** A page of metrics, read by the rules of the format and no others. */
export interface Scrape {
  readonly text: string
  readonly samples: readonly ScrapedSample[]
  readonly types: ReadonlyMap<string, string>
  /** The sum of the samples of that name that have these labels. */
  value(name: string, labels?: Readonly<Record<string, string>>): number
}

const nameShape = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
const labelShape = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|})/

/** Scrapes a gateway as Prometheus does. */
export async function scrape(gateway: TestGateway, token = gateway.adminToken): Promise<Scrape> {
  const answer = await ask(gateway.adminUrl, '/metrics', { headers: { authorization: `Bearer ${token}` } })
  expect(answer.status).toBe(200)
  expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
  return parseExposition(answer.body.toString())
}

/**
 * Reads Prometheus's text format 0.0.4. Throws for what it does not allow: a sample without a type, a name or labels
 * out of shape, a series that stands twice, a family in two places, a histogram that does not add up.
 */
export function parseExposition(text: string): Scrape {
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  const types = new Map<string, string>()
  const samples: ScrapedSample[] = []
  const seen = new Set<string>()
  let family = ''
  for (const line of text.slice(0, -1).split('\n')) {
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) ([^ ]+) (.+)$/.exec(line) ?? []
    if (keyword === 'HELP') continue
    if (keyword === 'TYPE') {
      if (types.has(name)) throw new Error(`${name} stands in two places`)
      if (!['counter', 'gauge', 'histogram'].includes(rest)) throw new Error(`the type of ${name}`)
      types.set(name, rest)
      family = name
      continue
    }
    const sample = parseSample(line)
    const suffixed =
      types.get(family) === 'histogram' ? /^(.*)_(?:bucket|sum|count)$/.exec(sample.name)?.[1] : sample.name
    if (suffixed !== family) throw new Error(`${sample.name} stands under ${family}`)
    const series = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`
    if (seen.has(series)) throw new Error(`${series} stands twice`)
    seen.add(series)
    samples.push(sample)
  }
  const scraped: Scrape = {
    text,
    samples,
    types,
    value: (name, labels = {}) =>
      samples
        .filter((sample) => sample.name === name && matches(sample, labels))
        .reduce((sum, { value }) => sum + value, 0),
  }
  for (const [name, type] of types) if (type === 'histogram') checkHistogram(scraped, name)
  return scraped
}

function parseSample(line: string): ScrapedSample {
  const name = nameShape.exec(line)?.[0]
  if (name === undefined) throw new Error(`not a sample: ${line}`)
  const labels: Record<string, string> = {}
  let rest = line.slice(name.length)
  if (rest.startsWith('{')) {
    rest = rest.slice(1)
    for (let more = true; more; ) {
      const [whole, label, value = '', end] = labelShape.exec(rest) ?? []
      if (whole === undefined || label === undefined) throw new Error(`labels of ${line}`)
      labels[label] = value.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped))
      rest = rest.slice(whole.length)
      more = end === ','
    }
  }
  const value = / (\S+)$/.exec(rest)?.[1] ?? ''
  if (!/^(?:[+-]?[0-9.]+(?:e[+-]?[0-9]+)?|[+-]Inf|NaN)$/i.test(value)) throw new Error(`the value of ${line}`)
  return { name, labels, value: Number(value.replace('Inf', 'Infinity')) }
}

function matches({ labels }: ScrapedSample, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([name, value]) => labels[name] === value)
}

/** Buckets rise to the count, of every series. */
function checkHistogram({ samples }: Scrape, name: string): void {
  const counts = samples.filter((sample) => sample.name === `${name}_count`)
  for (const { labels, value } of counts) {
    const buckets = samples
      .filter((sample) => sample.name === `${name}_bucket` && matches(sample, labels))
      .map((bucket) => ({ le: Number(bucket.labels.le?.replace('Inf', 'Infinity')), count: bucket.value }))
      .sort((one, other) => one.le - other.le)
    for (const [index, bucket] of buckets.entries())
      if (bucket.count < (buckets[index - 1]?.count ?? 0)) throw new Error(`${name} falls`)
    if (buckets.at(-1)?.le !== Number.POSITIVE_INFINITY || buckets.at(-1)?.count !== value)
      throw new Error(`${name} does not add up`)
  }
}
