import { expect, test } from 'vitest'
import { Counts } from '../../gateway/src/metrics/counts.ts'
import { counter, exposition, gauge } from '../../gateway/src/metrics/exposition.ts'
import { Histogram } from '../../gateway/src/metrics/histogram.ts'
import { parseExposition } from './scrape.ts'

test('a page is written as Prometheus reads it', () => {
  const histogram = new Histogram([0.1, 1])
  for (const value of [0.05, 0.1, 0.5, 7]) histogram.observe(value)
  const page = exposition([
    counter('a_total', 'Things.', 3),
    gauge('b', 'A back\\slash and\na line.', 0.25),
    { kind: 'histogram', name: 'c_seconds', help: 'Times.', series: [{ labels: { kind: 'x' }, histogram }] },
  ])
  expect(page).toBe(
    [
      '# HELP a_total Things.',
      '# TYPE a_total counter',
      'a_total 3',
      '# HELP b A back\\\\slash and\\na line.',
      '# TYPE b gauge',
      'b 0.25',
      '# HELP c_seconds Times.',
      '# TYPE c_seconds histogram',
      'c_seconds_bucket{kind="x",le="0.1"} 2',
      'c_seconds_bucket{kind="x",le="1"} 3',
      'c_seconds_bucket{kind="x",le="+Inf"} 4',
      'c_seconds_sum{kind="x"} 7.65',
      'c_seconds_count{kind="x"} 4',
      '',
    ].join('\n'),
  )
})

test('what stands in a label comes out as it went in, and ends neither the label nor the line', () => {
  const name = 'a"} 1\nforged_total 9\\'
  const page = exposition([
    { kind: 'gauge', name: 'named', help: 'Names.', samples: [{ labels: { name, other: '}' }, value: 1 }] },
  ])
  expect(parseExposition(page).samples).toEqual([{ name: 'named', labels: { name, other: '}' }, value: 1 }])
})

test('a name that nobody fixed is not counted, and makes no series', () => {
  const counts = new Counts<string>(['a', 'b'])
  counts.add('a', 2)
  counts.add('of a client')
  expect(counts.samples((name) => ({ name }))).toEqual([
    { labels: { name: 'a' }, value: 2 },
    { labels: { name: 'b' }, value: 0 },
  ])
})
