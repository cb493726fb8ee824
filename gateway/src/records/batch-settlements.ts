import { isUuid } from '@latchkey/shared'
import { mostLimit } from '../budget/change-budget.ts'
import type { RecordRow } from './record-row.ts'

/** What some records settle, in sum for each lease: four arrays of equal length, for the parameters of a statement. */
export interface BatchSettlements {
  readonly windows: readonly string[]
  readonly leases: readonly string[]
  readonly within: readonly string[]
  readonly beyond: readonly string[]
}

interface Sum {
  readonly window: string
  within: bigint
  beyond: bigint
}

const wholeNumber = /^[0-9]{1,19}$/

/** Adds up what rows settle; null where one of them says it in another way than we do, which Postgres has to judge. */
export function batchSettlements(rows: readonly RecordRow[]): BatchSettlements | null {
  const sums = new Map<string, Sum>()
  for (const { settlements } of rows) {
    if (!Array.isArray(settlements)) return null
    for (const settlement of settlements) if (!add(sums, settlement)) return null
  }
  const all = [...sums.values()]
  return {
    windows: all.map(({ window }) => window),
    leases: [...sums.keys()],
    within: all.map(({ within }) => String(within)),
    beyond: all.map(({ beyond }) => String(beyond < mostLimit ? beyond : mostLimit)),
  }
}

function add(sums: Map<string, Sum>, settlement: unknown): boolean {
  if (typeof settlement !== 'object' || settlement === null) return false
  if (!('window' in settlement && 'lease' in settlement)) return false
  if (!('within' in settlement && 'beyond' in settlement)) return false
  const { window, lease, within, beyond } = settlement
  // Spelled in two ways, one lease would have two sums, and Postgres would take but one of them from it.
  if (typeof lease !== 'string' || !isUuid(lease)) return false
  if (!isAmount(window) || !isAmount(within) || !isAmount(beyond)) return false
  const known = sums.get(lease)
  if (known === undefined) {
    sums.set(lease, { window, within: BigInt(within), beyond: BigInt(beyond) })
    return true
  }
  known.within += BigInt(within)
  known.beyond += BigInt(beyond)
  return known.window === window
}

function isAmount(value: unknown): value is string {
  return typeof value === 'string' && wholeNumber.test(value)
}
