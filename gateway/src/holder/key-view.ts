import {
  type BudgetId,
  type Clock,
  type Database,
  formatUsd,
  type HolderKeyWire,
  LatchkeyError,
  type NanoUsd,
  nanoUsd,
  type StoredLimit,
} from '@latchkey/shared'
import type { Principal } from '@latchkey/vault'
import type { Kysely } from 'kysely'
import { LRUCache } from 'lru-cache'
import { type BudgetFigures, readBudgets } from '../budget/read-budgets.ts'
import { type ModelUse, readModelUse } from './queries.ts'

export interface KeyViewsOptions {
  readonly database: Kysely<Database>
  readonly clock: Clock
  /** What this process has set aside of a budget for requests that come: for a holder that is not held. */
  readonly idle: (budget: BudgetId) => NanoUsd
}

/** For how long a view is given again. One whose records took long to add up lasts ten times as long as that. */
const freshMs = 1_000
const mostViews = 1_000
/** Reads at a time, of all keys: requests need the database more than pages do. */
const mostReads = 2
const mostWaiting = 100

interface Read {
  readonly budgets: readonly BudgetFigures[]
  readonly models: readonly ModelUse[]
  /** Until when it is given again, monotonic. */
  readonly freshUntil: number
}

/** What the holders of keys see of them. */
export class KeyViews {
  readonly #options: KeyViewsOptions
  readonly #reads = new LRUCache<string, Entry>({ max: mostViews })
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(options: KeyViewsOptions) {
    this.#options = options
  }

  /** The view of the key that asks, mostly at most a second old. Throws `overloaded`, and the driver's error. */
  async view(principal: Principal): Promise<HolderKeyWire> {
    const { clock, idle } = this.#options
    const { budgets, models } = await this.#fresh(principal)
    const { keyName, group, expiresAt, policy } = principal
    const expired = expiresAt !== null && expiresAt <= clock.now()
    const active = principal.status === 'active' && group?.status !== 'paused'
    return {
      name: keyName,
      group: group?.name ?? null,
      status: expired ? 'expired' : active ? 'active' : 'paused',
      expiresAt: expiresAt === null ? null : new Date(expiresAt).toISOString(),
      models: policy.models === null ? null : [...policy.models],
      limits: [...limitsOf('key', policy.limits), ...limitsOf('group', group?.limits ?? [])],
      budgets: budgets.flatMap((budget) => budgetOf(budget, idle(budget.id))),
      byModel: models.map(({ model, requests, inputTokens, outputTokens, cost }) => ({
        model,
        requests: Number(requests),
        inputTokens: Number(inputTokens),
        outputTokens: Number(outputTokens),
        costUsd: formatUsd(cost),
      })),
    }
  }

  #fresh(principal: Principal): Promise<Read> {
    const { keyId } = principal
    const known = this.#reads.get(keyId)
    if (
      known !== undefined &&
      (known.done === null || known.done.freshUntil > this.#options.clock.monotonic())
    )
      return known.reading
    const entry: Entry = { reading: this.#inTurn(() => this.#read(principal)), done: null }
    this.#reads.set(keyId, entry)
    entry.reading.then(
      (read) => {
        entry.done = read
      },
      () => this.#reads.delete(keyId),
    )
    return entry.reading
  }

  async #inTurn(read: () => Promise<Read>): Promise<Read> {
    if (this.#running >= mostReads) {
      if (this.#waiting.length >= mostWaiting) throw new LatchkeyError('overloaded')
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    this.#running++
    try {
      return await read()
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }

  async #read({ keyId, organizationId, budgets: ids }: Principal): Promise<Read> {
    const { database, clock } = this.#options
    const began = clock.monotonic()
    const budgets = await readBudgets(database, { kind: 'ids', organizationId, ids })
    const models = await readModelUse(database, keyId)
    const ended = clock.monotonic()
    return { budgets, models, freshUntil: ended + Math.max(freshMs, 10 * (ended - began)) }
  }
}

/** A read under way, or done. */
interface Entry {
  readonly reading: Promise<Read>
  done: Read | null
}

type HolderLimit = HolderKeyWire['limits'][number]

function limitsOf(scope: HolderLimit['scope'], limits: readonly StoredLimit[]): readonly HolderLimit[] {
  return limits.map((limit) => ({
    scope,
    unit: limit.unit,
    per: limit.unit === 'concurrency' ? null : limit.per,
    limit: limit.limit,
  }))
}

function budgetOf(budget: BudgetFigures, idle: NanoUsd): HolderKeyWire['budgets'] {
  const { kind } = budget.scope
  if (kind === 'provider_key') return []
  // What was read and what is idle now are a moment apart.
  const free = idle < budget.held ? idle : budget.held
  return [
    {
      scope: kind,
      window: budget.period,
      status: budget.status,
      limitUsd: formatUsd(budget.limit),
      spentUsd: formatUsd(budget.spent),
      heldUsd: formatUsd(nanoUsd(budget.held - free)),
      remainingUsd: formatUsd(nanoUsd(budget.remaining + free)),
      resetsAt: budget.resetsAt?.toISOString() ?? null,
    },
  ]
}
