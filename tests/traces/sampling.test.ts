import { createHash } from 'node:crypto'
import { systemClock } from '@latchkey/shared'
import { expect, test } from 'vitest'
import { RequestTracer } from '../../gateway/src/traces/request-tracer.ts'
import type { Span } from '../../gateway/src/traces/span.ts'
import { record } from '../records/record.ts'

/** Random in the eyes of a sampler, and the same each time. */
function bytes(): (size: number) => Uint8Array {
  let drawn = 0
  return (size) => createHash('sha256').update(String(drawn++)).digest().subarray(0, size)
}

/** The spans of `requests` requests with these headers. */
function sample(ratio: number, requests: number, rawHeaders: readonly string[] = []): readonly Span[] {
  const spans: Span[] = []
  const sink = { add: (span: Span) => spans.push(span) }
  const tracer = new RequestTracer({ sink, clock: systemClock, random: bytes(), ratio })
  for (let made = 0; made < requests; made++)
    tracer.follow(rawHeaders, systemClock.now(), systemClock.monotonic()).end(record())
  return spans
}

test('of requests whose callers have not decided, the share that is asked for is traced', () => {
  expect(sample(1, 1_000)).toHaveLength(1_000)
  expect(sample(0, 1_000)).toHaveLength(0)
  const quarter = sample(0.25, 4_000).length
  expect(quarter).toBeGreaterThan(900)
  expect(quarter).toBeLessThan(1_100)
})

test('a caller that has decided is followed, whatever the share', () => {
  const parent = (flags: string) => ['traceparent', `00-${'4b'.repeat(16)}-${'f0'.repeat(8)}-${flags}`]
  expect(sample(0, 10, parent('01'))).toHaveLength(10)
  expect(sample(1, 10, parent('00'))).toHaveLength(0)
})
