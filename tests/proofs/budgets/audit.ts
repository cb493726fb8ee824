import { formatUsd, type NanoUsd, nanoUsd } from '@latchkey/shared'
import { priceOf } from './ask.ts'
import type { Deployment } from './deployment.ts'
import type { WindowStanding } from './ledger.ts'

/** What may be true of a run beside what must be. */
export interface Allowance {
  /** The upstream billed more than was held: it lied, or ignored the output cap. */
  readonly overage?: boolean
  /** Limits were lowered: what was out by then may exceed them. */
  readonly lowered?: boolean
  /** An operator has given back what dead processes left behind: it may have been spent. */
  readonly released?: boolean
}

/** What one look at the books came to. Amounts are those of the keys' `total` budgets, which every key of a proof has. */
export interface Audit {
  readonly charges: NanoUsd
  readonly settled: NanoUsd
  readonly leased: NanoUsd
  readonly unsettled: NanoUsd
  readonly overage: NanoUsd
  readonly limit: NanoUsd
  readonly violations: readonly string[]
}

/**
 * Compares the upstream's books with the database: what is charged must be settled, or set aside for whoever may
 * still record it. True at any moment, under load too: the upstream is read first, and what it has charged by then
 * was leased before.
 */
export async function audit(deployment: Deployment, allowance: Allowance = {}): Promise<Audit> {
  const books = await deployment.upstream.books()
  const charges = priceOf(books.billed.usage)
  const windows = await deployment.ledger.windows()
  const keys = windows.filter((window) => window.scope === 'key' && window.period === 'total')
  const sum = (pick: (window: WindowStanding) => NanoUsd) =>
    nanoUsd(keys.reduce((total, window) => total + pick(window), 0n))
  const figures = {
    charges,
    settled: sum((window) => window.settled),
    leased: sum((window) => window.leased),
    unsettled: sum((window) => window.unsettled),
    overage: sum((window) => window.overage),
    limit: sum((window) => window.limit),
  }
  const covered = figures.settled + figures.overage + figures.unsettled + figures.leased
  const violations = windows.flatMap((window) => faultsOf(window, allowance))
  if (charges > covered && allowance.released !== true)
    violations.push(`the upstream has charged ${usd(charges)}, and the books cover ${usd(nanoUsd(covered))}`)
  return { ...figures, violations }
}

/** What is wrong with one window by itself. */
function faultsOf(window: WindowStanding, { overage = false, lowered = false }: Allowance): string[] {
  const { settled, leased, unsettled, limit, ceiling, recorded, openLeases, sweptLeases } = window
  const out = settled + leased + unsettled
  const faults: string[] = []
  const add = (fault: string) =>
    faults.push(`window ${window.id} (${window.scope}, ${window.period}): ${fault}`)
  if (out > ceiling) add(`${usd(out)} is out, beyond its ceiling of ${usd(ceiling)}`)
  if (settled + window.overage !== recorded)
    add(`${usd(settled + window.overage)} has settled, and the records say ${usd(recorded)}`)
  if (leased !== openLeases) add(`${usd(leased)} is leased, and open leases say ${usd(openLeases)}`)
  if (unsettled !== sweptLeases)
    add(`${usd(unsettled)} is unsettled, and swept leases say ${usd(sweptLeases)}`)
  if (!overage && window.overage !== 0n) add(`an overage of ${usd(window.overage)}`)
  if (!lowered && !overage && out > limit) add(`${usd(out)} is out, beyond its limit of ${usd(limit)}`)
  return faults
}

/**
 * What is wrong with the records of finished requests: `served` has the ids of those that were answered with success
 * by a process that was not killed.
 */
export async function auditRecords(
  deployment: Deployment,
  served: readonly string[],
  { overage = false }: Allowance = {},
): Promise<readonly string[]> {
  const records = await deployment.ledger.sentRecords()
  const successes = new Set(records.filter(({ status }) => status < 300).map(({ id }) => id))
  const missing = served.filter((id) => !successes.has(id))
  const faults =
    missing.length === 0 ? [] : [`${missing.length} answers have no record, ${missing[0]} for one`]
  if (successes.size < records.filter(({ status }) => status < 300).length)
    faults.push('a request has two records')
  for (const { id, cost, held, settlements } of records) {
    if (cost === null || held === null) faults.push(`the record ${id} has no cost`)
    else if (cost > held && !overage) faults.push(`the record ${id} costs ${usd(cost)} and held ${usd(held)}`)
    const byWindow = new Map<string, bigint>()
    for (const { window, within, beyond } of settlements)
      byWindow.set(window, (byWindow.get(window) ?? 0n) + BigInt(within) + BigInt(beyond))
    for (const [window, amount] of byWindow)
      if (amount !== cost)
        faults.push(`the record ${id} settles ${usd(amount)} into window ${window}, not its cost`)
    if (settlements.length === 0) faults.push(`the record ${id} settles nowhere`)
  }
  return faults
}

function usd(amount: bigint): string {
  return `$${formatUsd(nanoUsd(amount))}`
}
