import type { HistogramFigures } from './exposition.ts'

/** Counts of values by size. Observing one allocates nothing. */
export class Histogram implements HistogramFigures {
  readonly bounds: readonly number[]
  readonly counts: Float64Array
  readonly #sum = new Float64Array(1)

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
  }

  get sum(): number {
    return this.#sum[0] ?? 0
  }

  observe(value: number): void {
    const { bounds, counts } = this
    let bucket = 0
    while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket++
    counts[bucket] = (counts[bucket] ?? 0) + 1
    this.#sum[0] = (this.#sum[0] ?? 0) + value
  }
  /** As another process may read it. */
  toJSON(): HistogramFigures {
    return { bounds: this.bounds, counts: [...this.counts], sum: this.sum }
  }
}
