import { counter, exposition, type Family, gauge } from '../../metrics/exposition.ts'
import { mergeFamilies, tallies } from '../../metrics/merge-families.ts'

/** The supervisor's own process, beside the workers' numbers. */
const supervisorLabel = 'supervisor'

/**
 * The metrics of all workers as one page. What a worker has counted stays counted when it dies, or is late to answer:
 * a sum that fell and rose again would be read as that much traffic.
 */
export class WorkerMetrics {
  /** What each worker told last. */
  readonly #last = new Map<number, readonly Family[]>()
  /** The sums of those that have died. */
  #past: readonly Family[] = []

  /** `answers` are those of the workers that told in time, by their numbers; `own` is of the supervisor's process. */
  page(answers: ReadonlyMap<number, unknown>, own: readonly Family[], restarts: number): string {
    const told = new Map([...answers].flatMap(([worker, answer]) => parseFamilies(worker, answer)))
    for (const [worker, families] of told) this.#last.set(worker, families)
    const late = [...this.#last].filter(([worker]) => !told.has(worker)).map(([, families]) => families)
    const merged = mergeFamilies(
      [
        ...[...told]
          .sort(([one], [other]) => one - other)
          .map(([worker, families]) => ({ worker: String(worker), families })),
        { worker: supervisorLabel, families: own },
      ],
      [this.#past, ...late],
    )
    return exposition([...merged, ...workerFamilies({ answered: told.size, restarts })])
  }

  /** The process that was worker `worker` is no more. */
  ended(worker: number): void {
    const last = this.#last.get(worker)
    if (last === undefined) return
    this.#past = mergeFamilies([], [this.#past, tallies(last)])
    this.#last.delete(worker)
  }
}

/** What stands on the page of several workers alone. */
export function workerFamilies(figures: {
  readonly answered: number
  readonly restarts: number
}): readonly Family[] {
  return [
    gauge('latchkey_workers', 'Workers that have told their metrics to this page.', figures.answered),
    counter('latchkey_worker_restarts_total', 'Workers that were started again.', figures.restarts),
  ]
}

/** What a worker of the same release has sent, as an entry; none where it could not tell. */
function parseFamilies(worker: number, answer: unknown): readonly (readonly [number, readonly Family[]])[] {
  return Array.isArray(answer) ? [[worker, answer as readonly Family[]]] : []
}
