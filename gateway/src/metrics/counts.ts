import type { Labels, Sample } from './exposition.ts'

/** One number for each of some names that are fixed from the start. Counting allocates nothing. */
export class Counts<Name extends string> {
  readonly #names: readonly Name[]
  readonly #places: ReadonlyMap<Name, number>
  readonly #values: Float64Array

  constructor(names: readonly Name[]) {
    this.#names = names
    this.#places = new Map(names.map((name, place) => [name, place]))
    this.#values = new Float64Array(names.length)
  }

  add(name: Name, amount = 1): void {
    const place = this.#places.get(name)
    if (place !== undefined) this.#values[place] = (this.#values[place] ?? 0) + amount
  }

  /** What `name` has come to. */
  of(name: Name): number {
    return this.#values[this.#places.get(name) ?? -1] ?? 0
  }

  /** A sample of every name. */
  samples(labels: (name: Name) => Labels): readonly Sample[] {
    return this.#names.map((name) => ({ labels: labels(name), value: this.of(name) }))
  }
}
