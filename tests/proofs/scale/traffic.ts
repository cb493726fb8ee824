import { type BudgetId, nanoUsd, type StoredLimit } from '@latchkey/shared'
import type { LimitAsk } from '../../../gateway/src/limits/rate-limiter.ts'
import { newBudgetId } from '../../budget/books.ts'
import { type Popularity, popularityOf } from './popularity.ts'
import type { Scene } from './scene.ts'
import type { SimulatedRequest } from './simulated-request.ts'

const dollar = 1_000_000_000
const organizationId = 'organization'
/** What a request costs on the average, and the most that it may: a small model, 1,200 tokens in and 320 out. */
const meanCost = 225_000
const twoHours = 7_200

/** Whoever is told of a budget before it is first asked for. */
export interface BudgetOpener {
  addBudget(budget: BudgetId, limit: bigint, scale: bigint): void
}

interface Account {
  readonly budgets: readonly BudgetId[]
  readonly limits: readonly LimitAsk[]
}

/** Where requests come from: each of a key in a group in the one organization, all three with budgets. */
export class Traffic {
  readonly #scene: Scene
  readonly #opener: BudgetOpener
  readonly #random: () => number
  readonly #popularity: Popularity
  readonly #organization = newBudgetId()
  readonly #groups = new Map<number, { readonly budget: BudgetId; readonly limits: readonly StoredLimit[] }>()
  readonly #accounts = new Map<number, Account>()

  constructor(scene: Scene, opener: BudgetOpener, random: () => number) {
    this.#scene = scene
    this.#opener = opener
    this.#random = random
    this.#popularity = popularityOf(scene.spread, scene.keys, selectionOf(scene))
    opener.addBudget(this.#organization, this.#limitFor(1), this.#scale)
  }

  /** How many requests a second the processes that are followed get. */
  get requestsPerSecond(): number {
    const { requestsPerSecond, routing, processes, followed } = this.#scene
    return requestsPerSecond * (routing === 'any' ? followed / processes : this.#popularity.selected)
  }

  /** The next request at one of the processes that are followed. */
  next(): SimulatedRequest {
    const random = this.#random
    const key = this.#popularity.pick(random)
    const { budgets, limits } = this.#accountOf(key)
    const bound = 300_000 + Math.floor(random() * 1_200_000)
    return {
      key,
      budgets,
      limits,
      bound: nanoUsd(BigInt(bound)),
      cost: nanoUsd(BigInt(Math.floor(bound * (0.1 + random() * 0.3)))),
      tokens: 3_000 + Math.floor(random() * 10_000),
      tokensUsed: 500 + Math.floor(random() * 2_000),
      durationMs: 1 + Math.floor(random() * this.#scene.requestMs),
    }
  }

  get #scale(): bigint {
    const { processes, followed } = this.#scene
    return BigInt(Math.ceil(processes / followed))
  }

  #accountOf(key: number): Account {
    const known = this.#accounts.get(key)
    if (known !== undefined) return known
    const { routing, keysPerGroup, keyLimits } = this.#scene
    const share = this.#popularity.share(key)
    const budget = newBudgetId()
    this.#opener.addBudget(budget, this.#limitFor(share), routing === 'any' ? this.#scale : 1n)
    const groupNumber = Math.floor(key / keysPerGroup)
    const group = this.#groupOf(groupNumber, Math.min(1, share * keysPerGroup))
    const limitsOfKey = keyLimits
      ? ([{ kind: 'key', id: String(key), limits: this.#limitsFor(share) }] as const)
      : []
    const limitsOfGroup = { kind: 'group', id: String(groupNumber), limits: group.limits } as const
    const account: Account = {
      budgets: [budget, group.budget, this.#organization],
      limits: [...limitsOfKey, limitsOfGroup].map(({ kind, id, limits }) => ({
        scope: { organizationId, kind, id },
        limits,
      })),
    }
    this.#accounts.set(key, account)
    return account
  }

  #groupOf(number: number, share: number) {
    const known = this.#groups.get(number)
    if (known !== undefined) return known
    const group = { budget: newBudgetId(), limits: this.#limitsFor(share) }
    this.#opener.addBudget(group.budget, this.#limitFor(share), this.#scale)
    this.#groups.set(number, group)
    return group
  }

  /** Four dollars, or what two hours cost. */
  #limitFor(share: number): bigint {
    const spent = share * this.#scene.requestsPerSecond * twoHours * meanCost
    return BigInt(Math.ceil(Math.max(4 * dollar, spent)))
  }

  /** 60 requests a minute, or four times what there is, and tokens to match. */
  #limitsFor(share: number): readonly StoredLimit[] {
    const perMinute = Math.ceil(Math.max(60, 4 * 60 * share * this.#scene.requestsPerSecond))
    return [
      { unit: 'requests', per: 'minute', limit: perMinute },
      { unit: 'tokens', per: 'minute', limit: perMinute * 10_000 },
    ]
  }
}

/**
 * The keys of the processes that are followed: where each key has a process of its own, all of them, or those of the last
 * process, which has none of the few keys that are far more popular than the rest.
 */
function selectionOf({ name, routing, processes, followed }: Scene) {
  if (routing === 'any' || followed === processes) return undefined
  if (followed > 1)
    throw new Error(`${name}: of processes with keys of their own, all can be followed or one`)
  return { first: processes - 1, every: processes }
}
