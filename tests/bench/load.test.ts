import { expect, onTestFinished, test } from 'vitest'
import { startLoader } from '../../bench/load/loader.ts'
import { startFakeUpstream } from '../support/fake-upstream.ts'

test.each([
  { kind: 'streams', streams: 3, rampMs: 10 },
  { kind: 'steady', perSecond: 20 },
] as const)('what does not end after the look is broken off, and has failed: $kind', async (load) => {
  const upstream = await startFakeUpstream(({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
  })
  const loader = startLoader(null)
  onTestFinished(() => loader.stop())
  const task = { ...load, url: `${upstream.baseUrl}/chat/completions`, headers: {}, body: '{}' }
  const { sent, failed } = await loader.run({ ...task, settleMs: 1_000, forMs: 1_000, graceMs: 100 })
  expect(sent).toBeGreaterThan(1)
  expect(failed).toBe(sent)
})
