const shortestMs = 100
const longestMs = 10_000
/** Who has served for so long has not died of its start. */
const settledAfterMs = 60_000

/** How long to wait before a worker that died is started again: not at all the first time, then longer with each death. */
export class RestartDelay {
  #deaths = 0

  /** Milliseconds to wait now, after a worker that served for `servedMs` (0: never). */
  next(servedMs: number): number {
    if (servedMs >= settledAfterMs) this.#deaths = 0
    const delay = this.#deaths === 0 ? 0 : Math.min(longestMs, shortestMs * 2 ** (this.#deaths - 1))
    this.#deaths++
    return delay
  }
}
