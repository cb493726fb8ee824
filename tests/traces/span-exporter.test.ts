import { Secret, systemClock, systemRandom } from '@latchkey/shared'
import { expect, onTestFinished, test } from 'vitest'
import type { Span } from '../../gateway/src/traces/span.ts'
import { type ExportLimits, SpanExporter } from '../../gateway/src/traces/span-exporter.ts'
import { recordLog } from '../support/recorded-log.ts'
import { type Collector, startCollector } from './collector.ts'

const resource = { serviceName: 'gateway', serviceVersion: '1.2.3', instanceId: 'one' }

function exporterTo({ endpoint }: Pick<Collector, 'endpoint'>, limits: Partial<ExportLimits> = {}) {
  const log = recordLog()
  const exporter = new SpanExporter({
    url: `${endpoint}/v1/traces`,
    headers: [{ name: 'x-api-key', value: new Secret('c4n4ry') }],
    resource,
    clock: systemClock,
    random: systemRandom,
    log,
    limits: { delayMs: 5, retryMs: 5, ...limits },
  })
  onTestFinished(() => exporter.close(systemClock.monotonic()))
  return { exporter, log }
}

function figuresOf({ exported, dropped, queued }: SpanExporter) {
  return { exported, dropped, queued }
}

function span(change: Partial<Span> = {}): Span {
  return {
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    spanId: '00f067aa0ba902b7',
    parentId: null,
    state: null,
    name: 'a span',
    kind: 'server',
    start: 1_700_000_000_000.25,
    end: 1_700_000_000_001,
    failed: false,
    attributes: {},
    ...change,
  }
}

test('a span arrives with its times to the nanosecond, its kinds of values and nothing that is not known', async () => {
  const collector = await startCollector()
  const { exporter } = exporterTo(collector)
  exporter.add(
    span({
      parentId: '1111111111111111',
      state: 'a=1',
      kind: 'client',
      failed: true,
      attributes: {
        'a.text': 'é',
        'a.long.text': 'x'.repeat(5_000),
        'a.number': 12,
        'a.share': 0.5,
        'an.amount': 12_345_678_901_234n,
        'a.truth': false,
        'an.unknown': null,
      },
    }),
  )
  const [arrived] = await collector.received(1)
  expect(arrived).toEqual({
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    spanId: '00f067aa0ba902b7',
    parentSpanId: '1111111111111111',
    traceState: 'a=1',
    name: 'a span',
    kind: 3,
    startTimeUnixNano: '1700000000000250000',
    endTimeUnixNano: '1700000000001000000',
    attributes: {
      'a.text': 'é',
      'a.long.text': 'x'.repeat(1_024),
      'a.number': 12,
      'a.share': 0.5,
      'an.amount': 12_345_678_901_234,
      'a.truth': false,
    },
    status: { code: 2 },
    flags: 1,
  })
  expect(collector.resource).toEqual({
    'service.name': 'gateway',
    'service.version': '1.2.3',
    'service.instance.id': 'one',
  })
  expect(collector.headers[0]).toMatchObject({ 'x-api-key': 'c4n4ry' })
})

test('spans travel together, in batches of a bounded size, and all arrive', async () => {
  const collector = await startCollector()
  const { exporter } = exporterTo(collector, { batch: 100 })
  for (let made = 0; made < 250; made++) exporter.add(span())
  await collector.received(250)
  expect(collector.bodies).toHaveLength(3)
  await exporter.close(systemClock.monotonic() + 5_000)
  expect(figuresOf(exporter)).toEqual({ exported: 250, dropped: 0, queued: 0 })
})

test('a collector that does not answer costs spans, counted, and no memory', async () => {
  const collector = await startCollector()
  const release = Promise.withResolvers<void>()
  collector.answer(async () => {
    await release.promise
    return { status: 200, body: '{}' }
  })
  const { exporter } = exporterTo(collector, { batch: 10, queued: 50 })
  for (let made = 0; made < 10; made++) exporter.add(span())
  await expect.poll(() => collector.bodies.length).toBe(1)
  for (let made = 0; made < 1_000; made++) exporter.add(span())
  expect(figuresOf(exporter)).toEqual({ exported: 0, queued: 50, dropped: 950 })
  release.resolve()
  await collector.received(60)
  expect(exporter.dropped).toBe(950)
})

test.each([429, 502, 503, 504])(
  'a batch that is answered %i is sent again, and logged once',
  async (status) => {
    const collector = await startCollector()
    let answers = 0
    collector.answer(() => (++answers < 4 ? { status } : { status: 200, body: '{}' }))
    const { exporter, log } = exporterTo(collector)
    const restored = log.next('traces.export_restored')
    exporter.add(span())
    await collector.received(1)
    await restored
    expect(collector.bodies).toHaveLength(4)
    expect(log.events.map(({ event }) => event)).toEqual(['traces.export_failed', 'traces.export_restored'])
    expect(figuresOf(exporter)).toEqual({ exported: 1, dropped: 0, queued: 0 })
    expect(JSON.stringify(log.events)).not.toContain('c4n4ry')
  },
)

test.each([400, 401, 413, 500])('a batch that is answered %i is not sent again', async (status) => {
  const collector = await startCollector()
  collector.answer(() => ({ status }))
  const { exporter, log } = exporterTo(collector)
  const failed = log.next('traces.export_failed')
  exporter.add(span())
  await failed
  collector.answer(() => ({ status: 200, body: '{}' }))
  exporter.add(span())
  await collector.received(1)
  expect(collector.bodies).toHaveLength(2)
  await expect.poll(() => figuresOf(exporter)).toEqual({ exported: 1, dropped: 1, queued: 0 })
})

test('a collector that never comes back is given up, batch by batch', async () => {
  const collector = await startCollector()
  collector.answer(() => ({ status: 503 }))
  const { exporter } = exporterTo(collector, { tries: 3 })
  exporter.add(span())
  await expect.poll(() => exporter.dropped).toBe(1)
  expect(collector.bodies).toHaveLength(3)
})

test('spans that a collector rejects of a batch are counted as dropped', async () => {
  const collector = await startCollector()
  collector.answer(() => ({
    status: 200,
    body: '{"partialSuccess":{"rejectedSpans":"2","errorMessage":"x"}}',
  }))
  const { exporter } = exporterTo(collector)
  for (let made = 0; made < 5; made++) exporter.add(span())
  await expect.poll(() => exporter.exported).toBe(3)
  expect(exporter.dropped).toBe(2)
})

test('closing sends what waits, and gives up at its deadline', async () => {
  const collector = await startCollector()
  const patient = exporterTo(collector, { delayMs: 60_000 })
  patient.exporter.add(span())
  await patient.exporter.close(systemClock.monotonic() + 5_000)
  expect(collector.spans).toHaveLength(1)

  collector.answer(() => new Promise(() => {}))
  const late = exporterTo(collector, { delayMs: 60_000 })
  late.exporter.add(span())
  const started = performance.now()
  await late.exporter.close(systemClock.monotonic() + 200)
  expect(performance.now() - started).toBeLessThan(2_000)
  expect(late.exporter.dropped).toBe(1)
})

test('a redirect is not followed: the credential is for the collector that was named', async () => {
  const other = await startCollector()
  const collector = await startCollector()
  collector.answer(() => ({ status: 307, headers: { location: `${other.endpoint}/v1/traces` } }))
  const { exporter } = exporterTo(collector)
  exporter.add(span())
  await expect.poll(() => exporter.dropped).toBe(1)
  expect(other.bodies).toHaveLength(0)
})
