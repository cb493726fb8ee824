import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { exposition } from '../../gateway/src/metrics/exposition.ts'
import { ProcessMetrics } from '../../gateway/src/metrics/process-metrics.ts'
import { SteppingClock } from '../support/stepping-clock.ts'
import { parseExposition } from './scrape.ts'

test('a blocked event loop shows as its longest delay until the next scrape, and two scrapers see the same', async () => {
  const clock = new SteppingClock()
  const metrics = new ProcessMetrics(clock)
  onTestFinished(() => metrics.close())
  const longest = () =>
    parseExposition(exposition(metrics.families())).value('latchkey_event_loop_delay_seconds', {
      quantile: '1',
    })
  // The measurement is a timer of its own: it has to have begun, and to come after the block.
  await sleep(100)
  const end = performance.now() + 1_000
  while (performance.now() < end);
  await sleep(100)
  const seen = longest()
  expect(seen).toBeGreaterThan(0.9)
  clock.step(1_000)
  expect(longest()).toBe(seen)
  await sleep(100)
  clock.step(10_000)
  expect(longest()).toBeLessThan(seen)
})
