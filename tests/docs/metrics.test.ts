import { readFileSync } from 'node:fs'
import { nanoUsd, systemClock } from '@latchkey/shared'
import { expect, test } from 'vitest'
import { counter, exposition, type Family } from '../../gateway/src/metrics/exposition.ts'
import { type GatewayFigures, gatewayFamilies } from '../../gateway/src/metrics/gateway-metrics.ts'
import { ProcessMetrics } from '../../gateway/src/metrics/process-metrics.ts'
import { RequestMetrics } from '../../gateway/src/metrics/request-metrics.ts'
import { WatchedBudgets } from '../../gateway/src/metrics/watched-budgets.ts'
import { WatchedVerifier } from '../../gateway/src/metrics/watched-verifier.ts'
import { workerFamilies } from '../../gateway/src/runtime/workers/worker-metrics.ts'
import { parseExposition } from '../metrics/scrape.ts'
import { record } from '../records/record.ts'

const text = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')

const figures: GatewayFigures = {
  version: '1.2.3',
  mode: 'server',
  sealed: false,
  draining: false,
  inFlight: 0,
  bufferedBytes: 0,
  argon2Runs: 0,
  records: {
    ...{ taken: 0, places: 0, queued: 0, spooled: 0, spooledBytes: 0 },
    ...{ dropped: 0, deadLetters: 0, lost: 0, notCopied: 0, takenOver: 0 },
  },
  bodies: { kept: 0, skipped: 0, lost: 0, heldBytes: 0 },
  leases: { count: 0, outstanding: nanoUsd(0n), held: nanoUsd(0n), statements: 0 },
  limiter: { fallbacks: 0, decidedLocally: 0 },
  traces: { exported: 0, dropped: 0, queued: 0 },
  database: { totalCount: 0, idleCount: 0, waitingCount: 0 },
}

/** Every family that there is, with something in it. */
function allFamilies(): readonly Family[] {
  const requests = new RequestMetrics()
  requests.ended(record({ provider: 'openai' }), 'main', 1)
  const process = new ProcessMetrics(systemClock)
  process.close()
  const budgets = new WatchedBudgets({
    holdNow: () => null,
    hold: () => ({ kind: 'unavailable' }),
    settle: () => [],
    giveBack: () => {},
    remaining: () => null,
  })
  const verifier = new WatchedVerifier({
    lookup: () => undefined,
    verify: async () => ({ kind: 'sealed' }),
  })
  return [
    ...requests.families(),
    ...budgets.families(),
    ...verifier.families(),
    ...gatewayFamilies(figures),
    ...process.families(),
    ...workerFamilies({ answered: 2, restarts: 0 }),
  ]
}

test('docs/metrics.md lists every metric with its type and labels, and no other', () => {
  const page = parseExposition(exposition(allFamilies()))
  const told = [...page.types].map(([name, type]) => {
    const labels = new Set(
      page.samples
        .filter(
          (sample) => sample.name.replace(/_(?:bucket|sum|count)$/, '') === name || sample.name === name,
        )
        .flatMap((sample) => Object.keys(sample.labels))
        .filter((label) => label !== 'le'),
    )
    return `${name} ${type} ${[...labels].sort().join(' ')}`.trim()
  })
  const rows = [...text.matchAll(/^\| `([a-z0-9_]+)` \| (counter|gauge|histogram) \|([^|]*)\|/gm)]
  const documented = rows.map(([, name, type, labels = '']) => {
    const names = [...labels.matchAll(/`([a-z_]+)`/g)].map(([, label]) => label)
    return `${name} ${type} ${names.sort().join(' ')}`.trim()
  })
  expect(documented.sort()).toEqual(told.sort())
})

test('the alerts of docs/metrics.md ask for metrics that there are', () => {
  const names = new Set(allFamilies().map(({ name }) => name))
  const asked = [...text.matchAll(/\b(?:latchkey|process|nodejs)_[a-z0-9_]+/g)].map(([name]) => name)
  expect(asked.length).toBeGreaterThan(names.size)
  for (const name of asked) {
    const family = name.replace(/_(?:bucket|sum|count)$/, '')
    expect.soft(names.has(name) || names.has(family), name).toBe(true)
  }
})

test('every metric is named as Prometheus’s conventions have it', () => {
  const extra = counter('latchkey_example_total', 'An example.', 1)
  for (const { name, kind } of [...allFamilies(), extra]) {
    expect.soft(name, name).toMatch(/^(?:latchkey|process|nodejs)_[a-z0-9_]+$/)
    expect.soft(name.endsWith('_total'), name).toBe(kind === 'counter')
  }
})
