import { formatUsd, type NanoUsd } from '@latchkey/shared'
import type { Trial } from './trial.ts'

/** A trial and the scenario that it belongs to. */
export interface Reported extends Trial {
  readonly scenario: number
}

const head = [
  '',
  'trial',
  'processes',
  'requests',
  'charged',
  'settled',
  'unsettled',
  'overage',
  'limit',
  'verdict',
]

/** The trials as a table for people; amounts are dollars, of the keys' budgets all together. */
export function tableOf(trials: readonly Reported[]): string {
  const rows = trials.map((trial) => {
    const { charges, settled, unsettled, overage, limit } = trial.figures
    const amounts = [charges, settled, unsettled, overage, limit].map(formatUsd)
    const verdict = trial.violations.length === 0 ? 'holds' : `VIOLATED (${trial.violations.length})`
    return [
      trial.scenario,
      trial.name,
      trial.processes || '-',
      trial.requests || '-',
      ...amounts,
      verdict,
    ].map(String)
  })
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) =>
        column === 1 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
  const measured = trials.flatMap((trial) => trial.measured.map((text) => `${trial.scenario}  ${text}`))
  return [...[head, ...rows].map(line), ...(measured.length === 0 ? [] : ['']), ...measured].join('\n')
}

/** The trials as JSON, for machines; amounts are decimal strings of dollars. */
export function jsonOf(seed: number, trials: readonly Reported[]): string {
  const usd = (amounts: Readonly<Record<string, NanoUsd>>) =>
    Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [`${name}Usd`, formatUsd(amount)]))
  const data = trials.map(({ scenario, name, processes, requests, figures, measured, violations }) => ({
    ...{ scenario, name, processes, requests },
    ...usd({ ...figures }),
    measured,
    violations,
  }))
  return JSON.stringify({
    seed,
    holds: trials.every(({ violations }) => violations.length === 0),
    trials: data,
  })
}
