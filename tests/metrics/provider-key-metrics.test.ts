import { nanoUsd } from '@latchkey/shared'
import { expect, test } from 'vitest'
import { exposition } from '../../gateway/src/metrics/exposition.ts'
import { ProviderKeyMetrics } from '../../gateway/src/metrics/provider-key-metrics.ts'
import { record } from '../records/record.ts'
import { parseExposition } from './scrape.ts'

test('beyond 500 provider keys of a provider the rest share a series, and nothing is left out of the sum', () => {
  const metrics = new ProviderKeyMetrics()
  for (let key = 0; key < 700; key++)
    metrics.add('openai', `key-${key}`, record({ cost: nanoUsd(1_000_000n) }))
  metrics.add('simulator', 'of another provider', record())
  const scraped = parseExposition(exposition(metrics.families()))
  const costs = scraped.samples.filter(({ name }) => name === 'latchkey_cost_usd_total')
  expect(costs).toHaveLength(502)
  expect(scraped.value('latchkey_cost_usd_total', { provider_key: 'all others' })).toBeCloseTo(0.2)
  expect(scraped.value('latchkey_cost_usd_total', { provider: 'openai' })).toBeCloseTo(0.7)
})
