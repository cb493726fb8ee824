import type { BudgetId, NanoUsd } from '@latchkey/shared'
import type { HoldDecision, HoldRefusal } from './hold.ts'

/**
 * A hold that no lease could serve. While it waits it holds nothing, and once it is decided, whether by a grant,
 * a refusal, its deadline or its client's leaving, nothing more is taken for it.
 */
export class Waiter {
  readonly budgets: readonly BudgetId[]
  readonly amount: NanoUsd
  readonly decision: Promise<HoldDecision>
  readonly #decide: (decision: HoldDecision) => void
  readonly #answers: () => number
  readonly #signal: AbortSignal | undefined
  readonly #abort = () => this.decide({ kind: 'aborted' })
  #timer: NodeJS.Timeout
  #decided = false
  /** The windows whose leases were recalled for it; null while it is to be asked for. */
  recalled: ReadonlySet<bigint> | null = null
  /** How often it was asked for. */
  rounds = 0
  #limited = false

  /** `answers`: how often the database has answered so far. It is away when it has not for `answerWithin` milliseconds. */
  constructor(
    budgets: readonly BudgetId[],
    amount: NanoUsd,
    answerWithin: number,
    answers: () => number,
    signal: AbortSignal | undefined,
  ) {
    const { promise, resolve } = Promise.withResolvers<HoldDecision>()
    this.budgets = budgets
    this.amount = amount
    this.decision = promise
    this.#decide = resolve
    this.#answers = answers
    this.#signal = signal
    this.#timer = this.#expectAnswer(answerWithin)
    signal?.addEventListener('abort', this.#abort, { once: true })
  }

  get decided(): boolean {
    return this.#decided
  }

  /** Whether the database is to be asked for it. */
  get asking(): boolean {
    return !this.#decided && this.recalled === null
  }

  /** Whether `limit` was called. */
  get limited(): boolean {
    return this.#limited
  }

  /** It has so long from now on. After that `late` is called, and it is refused. */
  limit(milliseconds: number, refusal: HoldRefusal, late: () => void): void {
    this.#limited = true
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      late()
      this.decide(refusal)
    }, milliseconds)
  }

  /** In a crowd it may be long until its turn comes: as long as the database answers somebody, it waits on. */
  #expectAnswer(milliseconds: number): NodeJS.Timeout {
    const before = this.#answers()
    const look = () => {
      if (this.#decided || this.#limited) return
      if (this.#answers() === before) this.decide({ kind: 'unavailable' })
      else this.#timer = this.#expectAnswer(milliseconds)
    }
    // After whatever has come: on a busy machine an answer lies there when its deadline passes.
    return setTimeout(() => setImmediate(look), milliseconds)
  }

  decide(decision: HoldDecision): void {
    if (this.#decided) return
    this.#decided = true
    clearTimeout(this.#timer)
    this.#signal?.removeEventListener('abort', this.#abort)
    this.#decide(decision)
  }
}
