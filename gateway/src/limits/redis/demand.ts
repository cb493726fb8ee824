/** How often something was asked for of late. */
export class Demand {
  #second = 0
  #count = 0
  #countBefore = 0

  /** Times are milliseconds of one monotonic clock. */
  add(now: number): void {
    this.#goTo(now)
    this.#count += 1
  }

  /** In the second that ends at `now`, taken that the second before it was even. */
  perSecond(now: number): number {
    this.#goTo(now)
    return this.#count + this.#countBefore * (1 - (now / 1000 - this.#second))
  }

  #goTo(now: number): void {
    const second = Math.floor(now / 1000)
    if (second === this.#second) return
    this.#countBefore = second === this.#second + 1 ? this.#count : 0
    this.#count = 0
    this.#second = second
  }
}
