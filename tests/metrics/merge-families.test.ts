import { expect, test } from 'vitest'
import { counter, exposition, type Family, gauge } from '../../gateway/src/metrics/exposition.ts'
import { Histogram } from '../../gateway/src/metrics/histogram.ts'
import { mergeFamilies } from '../../gateway/src/metrics/merge-families.ts'
import { WorkerMetrics } from '../../gateway/src/runtime/workers/worker-metrics.ts'
import { parseExposition } from './scrape.ts'

/** What a worker tells that has counted `amount`, as it comes through the channel. */
function told(amount: number, observed: readonly number[] = []): readonly Family[] {
  const histogram = new Histogram([1, 2])
  for (const value of observed) histogram.observe(value)
  const families: readonly Family[] = [
    counter('a_total', 'Counted.', amount),
    gauge('depth', 'Now.', amount),
    gauge('sealed', 'Flag.', Number(amount > 5), 'most'),
    gauge('memory', 'Own.', amount, 'each'),
    counter('cpu_total', 'Own.', amount, 'each'),
    {
      kind: 'counter',
      name: 'labelled_total',
      help: 'By code.',
      samples: [
        { labels: { code: 'a' }, value: amount },
        { labels: { code: String(amount) }, value: 1 },
      ],
    },
    { kind: 'histogram', name: 'seconds', help: 'Times.', series: [{ labels: {}, histogram }] },
  ]
  return JSON.parse(JSON.stringify(families))
}

const pageOf = (families: readonly Family[]) => parseExposition(exposition(families))

test('counters, gauges and buckets are sums, flags the largest, and what is of one process stands for each', () => {
  const page = pageOf(
    mergeFamilies([
      { worker: '1', families: told(2, [0.5, 3]) },
      { worker: '2', families: told(7, [1.5]) },
    ]),
  )
  expect(page.value('a_total')).toBe(9)
  expect(page.value('depth')).toBe(9)
  expect(page.value('sealed')).toBe(1)
  expect(page.value('memory', { worker: '1' })).toBe(2)
  expect(page.value('memory', { worker: '2' })).toBe(7)
  expect(page.value('labelled_total', { code: 'a' })).toBe(9)
  expect(page.value('labelled_total', { code: '7' })).toBe(1)
  expect(page.value('seconds_bucket', { le: '1' })).toBe(1)
  expect(page.value('seconds_bucket', { le: '2' })).toBe(2)
  expect(page.value('seconds_count')).toBe(3)
  expect(page.value('seconds_sum')).toBe(5)
})

test('histograms with other bounds are not mixed', () => {
  const of = (bounds: readonly number[]): Family => ({
    kind: 'histogram',
    name: 'seconds',
    help: 'Times.',
    series: [{ labels: {}, histogram: { bounds, counts: [1, 1], sum: 1 } }],
  })
  const page = pageOf(
    mergeFamilies([
      { worker: '1', families: [of([1])] },
      { worker: '2', families: [of([2])] },
    ]),
  )
  expect(page.value('seconds_count')).toBe(2)
})

test('no sum falls when a worker dies or is late, and its gauges go with it', () => {
  const metrics = new WorkerMetrics()
  const scrape = (answers: readonly (readonly [number, unknown])[]) =>
    parseExposition(metrics.page(new Map(answers), [], 0))
  scrape([
    [1, told(3, [1])],
    [2, told(4, [2])],
  ])
  const late = scrape([[1, told(5, [1])]])
  expect(late.value('a_total')).toBe(9)
  expect(late.value('seconds_count')).toBe(2)
  expect(late.value('depth')).toBe(5)
  expect(late.value('latchkey_workers')).toBe(1)

  metrics.ended(2)
  const without = scrape([[1, told(5, [1])]])
  expect(without.value('a_total')).toBe(9)
  expect(without.samples.filter(({ labels }) => labels.worker === '2')).toEqual([])
  const replaced = scrape([
    [1, told(5, [1])],
    [2, told(1, [1])],
  ])
  expect(replaced.value('a_total')).toBe(10)
  metrics.ended(2)
  metrics.ended(2)
  expect(scrape([[1, told(5)]]).value('a_total')).toBe(10)
})

test('an answer that is none is left out', () => {
  const page = parseExposition(new WorkerMetrics().page(new Map([[1, null]]), told(1), 3))
  expect(page.value('latchkey_workers')).toBe(0)
  expect(page.value('latchkey_worker_restarts_total')).toBe(3)
  expect(page.value('memory', { worker: 'supervisor' })).toBe(1)
})
