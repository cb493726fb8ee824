import { expect, test } from 'vitest'
import { goalsOf, ratio } from '../../bench/goals.ts'
import type { Measurement } from '../../bench/measure.ts'
import { markdownOf } from '../../bench/report.ts'
import { median, medianOf, type Results, type TargetResults } from '../../bench/results.ts'

function measurement(cpu: number | null, more: Partial<Measurement> = {}): Measurement {
  return {
    ...{ unitsPerSecond: 1000, p50: 500, p99: 2000, cpu, databaseCpu: 0, memory: 2 ** 20, failed: 0 },
    ...more,
  }
}

function target(name: string, rounds: readonly Measurement[]): TargetResults {
  return { name, rounds, median: medianOf(rounds) }
}

function results(targets: readonly TargetResults[]): Results {
  return {
    startedAt: '2026-12-01T10:00:00.000Z',
    command: 'npm run bench',
    machine: {
      processor: 'P',
      cores: 2,
      memoryGib: 4,
      system: 'linux 6',
      node: 'v26',
      pinned: 'nothing is pinned',
    },
    rounds: 3,
    seconds: 4,
    workloads: [{ name: 'json', title: 'Small JSON', kind: 'closed-loop', targets }],
    atRest: [{ target: 'latchkey', memory: 150 * 2 ** 20 }],
    targets: [{ name: 'latchkey', note: 'everything' }],
    missing: [{ names: ['bifrost'], reason: 'can’t be\ninstalled | from https://registry.example/a?b here' }],
  }
}

test('a median of an even number is between the two in the middle, and of none there is none', () => {
  expect(median([4, 1, 3, 2])).toBe(2.5)
  expect(median([5, 1, 100])).toBe(5)
  expect(() => median([])).toThrow(RangeError)
})

test('failures are summed over the rounds, not averaged away', () => {
  expect(medianOf([measurement(1), measurement(2, { failed: 3 }), measurement(3)]).failed).toBe(3)
})

test('a ratio compares each round with the same round of the base, so that drift cancels out', () => {
  const base = target('bare', [measurement(100), measurement(200), measurement(400)])
  const double = target('latchkey', [measurement(200), measurement(400), measurement(800)])
  expect(ratio(double, base, ({ cpu }) => cpu)).toBe(2)
  expect(ratio(undefined, base, ({ cpu }) => cpu)).toBeNull()
  expect(ratio(target('provider', [measurement(null)]), base, ({ cpu }) => cpu)).toBeNull()
})

test('a goal is met, missed or not measured, and says so', () => {
  const bare = target('bare', [measurement(100)])
  const goal = (latchkey: number) =>
    goalsOf(results([bare, target('latchkey', [measurement(latchkey)])])).find(
      ({ must }) => must === '≤ 1.5x',
    )
  expect(goal(140)).toMatchObject({ value: 1.4, met: true })
  expect(goal(160)).toMatchObject({ value: 1.6, met: false })
  expect(goalsOf(results([bare])).find(({ must }) => must === '≤ 1.5x')).toMatchObject({
    value: null,
    met: null,
  })
})

test('the report names what could not be measured, in a table that stays one', () => {
  const text = markdownOf(results([target('bare', [measurement(100)])]))
  expect(text).toContain('| bifrost | not measured: can’t be installed \\| from … here |')
  expect(text).toContain('| bare | 1000 | 0.50 | 2.00 | 100.0 |  | 1.00 | 1 | 0 |')
})
