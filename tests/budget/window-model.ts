import type { LeaseId, RequestId } from '@latchkey/shared'

/** One step of a window's history, at the revision that it made. `after` is what its statement told, if it did. */
export interface WindowEvent {
  readonly window: bigint
  readonly revision: bigint
  readonly step: Step
  readonly after?: Partial<Figures>
}

export type Step =
  /** A grant or a return, by what it left granted and outstanding. */
  | {
      readonly kind: 'lease'
      readonly lease: LeaseId
      readonly granted: bigint
      readonly outstanding: bigint
    }
  /** A batch of records, of which some may have been recorded before. */
  | { readonly kind: 'settle'; readonly parts: readonly SettledPart[] }
  | { readonly kind: 'sweep' | 'release'; readonly leases: ReadonlyMap<LeaseId, bigint> }
  | {
      readonly kind: 'change'
      readonly limit: bigint
      readonly ceiling: bigint
      readonly status: 'active' | 'paused' | null
    }

export interface SettledPart {
  readonly request: RequestId
  readonly lease: LeaseId
  readonly within: bigint
  readonly beyond: bigint
}

export interface Figures {
  readonly settled: bigint
  readonly leased: bigint
  readonly unsettled: bigint
  readonly overage: bigint
}

interface ModelLease {
  granted: bigint
  outstanding: bigint
  state: 'open' | 'swept' | 'released'
}

/**
 * What a window must be, in the plainest words: a few sums, one step after the other. Revisions put the steps
 * of all connections in the one order in which the database took them. Throws at the first step that the
 * window's row does not follow.
 */
export class WindowModel {
  #limit: bigint
  #ceiling: bigint
  #paused = false
  #revision = 1n
  readonly #recorded = new Set<RequestId>()
  readonly #leases = new Map<LeaseId, ModelLease>()
  #settled = 0n
  #overage = 0n

  constructor(limit: bigint) {
    this.#limit = limit
    this.#ceiling = limit
  }

  get revision(): bigint {
    return this.#revision
  }

  get figures(): Figures {
    return {
      settled: this.#settled,
      leased: this.#outstanding('open'),
      unsettled: this.#outstanding('swept'),
      overage: this.#overage,
    }
  }

  apply({ revision, step, after }: WindowEvent): void {
    if (revision !== this.#revision + 1n) throw new Error(`revision ${revision} follows ${this.#revision}`)
    this.#revision = revision
    this.#take(step)
    const figures = this.figures
    if (figures.settled + figures.leased + figures.unsettled > this.#ceiling)
      throw new Error('the ceiling is exceeded')
    for (const [name, value] of Object.entries(after ?? {}))
      expectEqual(`${step.kind} at revision ${revision}: ${name}`, value, figures[name as keyof Figures])
  }

  #take(step: Step): void {
    switch (step.kind) {
      case 'lease':
        this.#lease(step.lease, step.granted, step.outstanding)
        break
      case 'settle':
        this.#settle(step.parts)
        break
      case 'sweep':
      case 'release':
        this.#abandon(step.kind, step.leases)
        break
      case 'change':
        this.#limit = step.limit
        this.#paused = step.status === null ? this.#paused : step.status === 'paused'
        this.#ceiling = max(
          step.limit,
          this.#settled + this.#outstanding('open') + this.#outstanding('swept'),
        )
        expectEqual('ceiling', step.ceiling, this.#ceiling)
        break
      default:
        step satisfies never
    }
  }

  #lease(id: LeaseId, granted: bigint, outstanding: bigint): void {
    const lease = this.#leases.get(id) ?? { granted: 0n, outstanding: 0n, state: 'open' }
    if (lease.state !== 'open') throw new Error(`a ${lease.state} lease has changed`)
    const delta = granted - lease.granted
    lease.granted = granted
    lease.outstanding += delta
    expectEqual('outstanding', outstanding, lease.outstanding)
    if (lease.outstanding < 0n) throw new Error('more was returned than was outstanding')
    this.#leases.set(id, lease)
    if (delta <= 0n) return
    const { settled, leased, unsettled, overage } = this.figures
    if (this.#paused) throw new Error('a paused window has granted')
    if (settled + leased + unsettled + overage > this.#limit)
      throw new Error('more was granted than the limit allows')
  }

  #settle(parts: readonly SettledPart[]): void {
    const fresh = parts.filter((part) => !this.#recorded.has(part.request))
    const known = new Set<string>()
    const within = new Map<LeaseId, bigint>()
    for (const part of fresh) {
      this.#recorded.add(part.request)
      const name = `${part.request} ${part.lease}`
      if (known.has(name)) continue
      known.add(name)
      within.set(part.lease, (within.get(part.lease) ?? 0n) + part.within)
      this.#overage += part.beyond
    }
    for (const [id, amount] of within) {
      const lease = this.#leases.get(id)
      const covered = lease === undefined || lease.state === 'released' ? 0n : min(amount, lease.outstanding)
      if (lease !== undefined) lease.outstanding -= covered
      this.#settled += covered
      this.#overage += amount - covered
    }
  }

  #abandon(kind: 'sweep' | 'release', leases: ReadonlyMap<LeaseId, bigint>): void {
    for (const [id, amount] of leases) {
      const lease = this.#leases.get(id)
      if (lease === undefined || lease.state !== (kind === 'sweep' ? 'open' : 'swept'))
        throw new Error(`${kind} of a lease that is ${lease?.state ?? 'unknown'}`)
      expectEqual(`${kind}: outstanding`, amount, lease.outstanding)
      lease.state = kind === 'sweep' ? 'swept' : 'released'
      if (kind === 'release') lease.outstanding = 0n
    }
  }

  #outstanding(state: ModelLease['state']): bigint {
    let sum = 0n
    for (const lease of this.#leases.values()) if (lease.state === state) sum += lease.outstanding
    return sum
  }
}

function expectEqual(what: string, actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`${what} is ${actual}, and the model says ${expected}`)
}

const min = (a: bigint, b: bigint) => (a < b ? a : b)
const max = (a: bigint, b: bigint) => (a > b ? a : b)
