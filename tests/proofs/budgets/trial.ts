import { type NanoUsd, nanoUsd } from '@latchkey/shared'
import { type Allowance, type Audit, audit, auditRecords } from './audit.ts'
import type { Outcome } from './client.ts'
import { Deployment, type DeploymentOptions } from './deployment.ts'
import type { Gateway } from './gateway.ts'

/** How large a proof is, and on what. */
export interface Surroundings {
  readonly size: 'quick' | 'full'
  readonly seed: number
  /** How often a gateway is killed. */
  readonly kills: number
  readonly processes: number
  /** Says what is being done. */
  readonly say: (text: string) => void
}

/** One line of the report. */
export interface Trial {
  readonly name: string
  readonly processes: number
  readonly requests: number
  readonly figures: Omit<Audit, 'violations'>
  /** What was measured on the way, in words. */
  readonly measured: readonly string[]
  readonly violations: readonly string[]
}

export interface TrialOptions extends Partial<DeploymentOptions> {
  readonly name: string
  readonly allowance?: Allowance
}

/** What a trial notes on its way. */
export class Notes {
  readonly violations: string[] = []
  readonly measured: string[] = []
  readonly #served: { readonly id: string; readonly by: Gateway }[] = []
  #requests = 0

  get requests(): number {
    return this.#requests
  }

  /** The ids of successful answers of processes that were not killed. */
  get served(): readonly string[] {
    return this.#served.filter(({ by }) => !by.killed).map(({ id }) => id)
  }

  /** The ids of successful answers of processes that were killed afterwards. */
  get orphaned(): readonly string[] {
    return this.#served.filter(({ by }) => by.killed).map(({ id }) => id)
  }

  /** Notes what became of a request that `by` was sent. */
  add(outcome: Outcome, by: Gateway): void {
    this.#requests++
    const { status, requestId, broken, complete } = outcome
    this.expect(!broken || !complete, `the broken answer of ${requestId} ended as if it were whole`)
    if (status !== null && status < 300 && requestId !== null) this.#served.push({ id: requestId, by })
  }

  /** Notes a violation unless `holds`. */
  expect(holds: boolean, violation: string): void {
    if (!holds) this.violations.push(violation)
  }
}

const none = nanoUsd(0n)
const noFigures = { charges: none, settled: none, leased: none, unsettled: none, overage: none, limit: none }

/** Runs `work` on a deployment of its own, and audits the books once nothing is in flight. What is thrown is a violation, too. */
export async function trial(
  surroundings: Surroundings,
  { name, allowance = {}, ...options }: TrialOptions,
  work: (deployment: Deployment, notes: Notes) => Promise<void>,
): Promise<Trial> {
  const { processes, seed, say } = surroundings
  say(`${name}, ${processes === 1 ? 'one process' : `${processes} processes`}`)
  const notes = new Notes()
  const database = processes === 1 ? 'embedded' : 'shared'
  const deployment = await Deployment.start({ processes, seed, database, ...options })
  let figures: Omit<Audit, 'violations'> = noFigures
  try {
    await work(deployment, notes)
    await deployment.quiet()
    const { violations, ...seen } = await audit(deployment, allowance)
    figures = seen
    notes.violations.push(...violations, ...(await auditRecords(deployment, notes.served, allowance)))
  } catch (error) {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    notes.violations.push(`${reason}\n${deployment.gateways.map((gateway) => gateway.tail()).join('\n')}`)
  } finally {
    notes.violations.push(...(await deployment.discard()))
  }
  for (const violation of notes.violations.slice(0, mostShown)) say(`  violated: ${violation}`)
  const { requests, measured, violations } = notes
  return { name, processes, requests, figures, measured, violations }
}

const mostShown = 10

/** A limit that no proof comes near. */
export const plenty: NanoUsd = nanoUsd(100_000_000_000n)
