import type { Clock } from '@latchkey/shared'
import type { Verifier } from '@latchkey/vault'
import type { Observer } from '../proxy/observer.ts'
import type { Budgets } from '../proxy/spending.ts'
import type { Family } from './exposition.ts'
import { type GatewayFigures, gatewayFamilies } from './gateway-metrics.ts'
import { ProcessMetrics } from './process-metrics.ts'
import { RequestMetrics } from './request-metrics.ts'
import { WatchedBudgets } from './watched-budgets.ts'
import { WatchedVerifier } from './watched-verifier.ts'

/** The metrics of one process: what is counted as it happens, and what a scrape is told of it. */
export class Metrics {
  readonly #requests = new RequestMetrics()
  readonly #process: ProcessMetrics
  readonly #budgets: WatchedBudgets
  readonly #verifier: WatchedVerifier

  constructor(watched: { readonly budgets: Budgets; readonly verifier: Verifier; readonly clock: Clock }) {
    this.#budgets = new WatchedBudgets(watched.budgets)
    this.#verifier = new WatchedVerifier(watched.verifier)
    this.#process = new ProcessMetrics(watched.clock)
  }

  /** Who is to be told of requests. */
  get observer(): Observer {
    return this.#requests
  }

  /** The budgets as requests are to use them. */
  get budgets(): Budgets {
    return this.#budgets
  }

  /** The verifier as requests are to use it. */
  get verifier(): Verifier {
    return this.#verifier
  }

  /** All of it. */
  families(figures: GatewayFigures): readonly Family[] {
    return [
      ...this.#requests.families(),
      ...this.#budgets.families(),
      ...this.#verifier.families(),
      ...gatewayFamilies(figures),
      ...this.#process.families(),
    ]
  }

  close(): void {
    this.#process.close()
  }
}
