import { budgetTimes } from '../../../gateway/src/budget/budget-times.ts'
import type { KeyFigures } from './measure-keys.ts'
import type { LeaseFigures } from './measure-leases.ts'
import type { RecordFigures, RecordsMeasured } from './measure-records.ts'
import type { Counted } from './reality.ts'
import type { Outcome } from './simulate.ts'
import type { Tally } from './tally.ts'

/** What a process does without requests, in statements a second: changes.ts, keyring-follower.ts (two), heartbeat.ts. */
const pollsPerSecond = 1 / 2
const vaultReportsPerSecond = 2 / 5
const beatsPerSecond = 1000 / budgetTimes.beatEvery

/** A scene's figures, of all its processes together. */
export function sceneLines(outcome: Outcome): readonly string[] {
  const { scene, start, steady, leases } = outcome
  const requests = steady.requests / scene.seconds
  const whole = scene.requestsPerSecond / requests
  const rate = (count: (tally: Tally) => number, factor = whole) => {
    const perSecond = (count(steady) / scene.seconds) * factor
    return `${figure(perSecond)} a second, ${figure(perSecond / scene.requestsPerSecond)} a request`
  }
  // What a process does however much it serves.
  const alike = scene.processes / scene.followed
  const idle = alike * (Number(leases.spare) / 1e9)
  const fixed =
    scene.processes * (pollsPerSecond + scene.changesPerSecond + vaultReportsPerSecond + 2 * beatsPerSecond)
  const lines: readonly (readonly [string, string])[] = [
    ['record batches', rate((tally) => tally.recordBatches, alike)],
    ['rows inserted', rate((tally) => tally.records)],
    ['rows settled into', rate((tally) => tally.settledRows)],
    ['lease statements', rate((tally) => tally.leaseStatements)],
    ['leases granted', rate((tally) => tally.grants)],
    ['leases returned', rate((tally) => tally.returns)],
    ['lease rows compared by heartbeats', rate((tally) => tally.comparedRows, alike)],
    ['statements that read keys', rate((tally) => tally.keyStatements)],
    ['rows of keys read', rate((tally) => tally.keyRows)],
    ['polls, reports and heartbeats', `${figure(fixed)} a second`],
    ['argon2 runs', rate((tally) => tally.argon2Runs)],
    ['calls of limits to Redis', rate((tally) => tally.redisCalls)],
    ['copies on Redis streams', rate((tally) => tally.records)],
    ['refused, 503 overloaded', rate((tally) => tally.refusedByArgon2)],
    ['refused by budgets', rate((tally) => tally.refusedByBudget)],
    ['leases in a process', figure(leases.count / scene.followed)],
    ['keys known in a process', figure(outcome.knownKeys / scene.followed)],
    ['lying idle in leases', `${figure(idle)} dollars`],
    [
      'start with nothing in memory',
      `${figure(start.argon2Runs / scene.followed)} argon2 runs a process, ${share(start.refusedByArgon2, start.requests)} refused with 503, the last after ${outcome.lastOverloadedAt.toFixed(0)} s`,
    ],
  ]
  return [
    `${scene.name}: ${figure(scene.keys)} keys, ${figure(scene.requestsPerSecond)} requests a second, ${scene.processes} processes`,
    ...lines.map(([name, value]) => `  ${name.padEnd(36)}${value}`),
  ]
}

/** The simulation and reality side by side. */
export function comparisonLines(simulated: Counted, real: Counted): readonly string[] {
  const line = (name: string, one: number, other: number) =>
    `  ${name.padEnd(20)}${figure(one).padStart(10)}${figure(other).padStart(10)}  ${(one / other).toFixed(2)}x`
  return [
    `  ${''.padEnd(20)}${'simulated'.padStart(10)}${'real'.padStart(10)}`,
    line('requests', simulated.requests, real.requests),
    line('lease statements', simulated.statements, real.statements),
    line('leases', simulated.leases, real.leases),
    line('idle dollars', simulated.idleDollars, real.idleDollars),
  ]
}

export function keyLines(figures: KeyFigures): readonly string[] {
  return [
    `${figure(figures.keys)} keys: ${figure(figures.bytesPerSnapshot)} bytes of memory for each that a process knows, ${figure(figures.bytesPerLimitedKey)} for its limits; ${figure(figures.rowsReadPerSecond)} rows read a second; argon2 ${figures.argon2Ms.toFixed(1)} ms of a core`,
  ]
}

export function leaseLines(figures: LeaseFigures): readonly string[] {
  return [
    `${figure(figures.keys)} leases: ${figure(figures.grantsPerSecond)} grants a second, ${figure(figures.grantsPerStatement)} in a statement; alone, ${figure(figures.statementsPerSecond)} statements a second, from four processes ${figure(figures.fourSharing)} with one organization's budget and ${figure(figures.fourApart)} with one each; ${figure(figures.bytesPerLease)} bytes of memory each; read by a heartbeat in ${figures.compareMs.toFixed(0)} ms`,
  ]
}

export function recordLines({ ways, diskBytesARow }: RecordsMeasured): readonly string[] {
  return [
    ...ways.map(
      (way) =>
        `records: ${way.writers} of ${way.rowsABatch} rows at once, ${organizationsOf(way)}: ${figure(way.rowsPerSecond)} rows a second, ${figure(way.walBytesARow)} bytes of WAL a row`,
    ),
    `records: ${figure(diskBytesARow)} bytes a row on disk, with indexes`,
  ]
}

function organizationsOf({ organizations }: RecordFigures): string {
  return organizations === 'one' ? 'of one organization' : 'of one organization each'
}

function figure(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US')
  return value.toLocaleString('en-US', { maximumSignificantDigits: 2 })
}

function share(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(0)} %`
}
