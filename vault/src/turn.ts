/** Lets one piece of work run at a time, in the order in which they were asked for. */
export class Turn {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs `work` after everything before it, whether that failed or not. */
  take<Result>(work: () => Promise<Result>): Promise<Result> {
    const run = this.#last.then(work, work)
    this.#last = run.catch(() => undefined)
    return run
  }
}
