/** Asks somebody the question of that id; false where nobody is there to hear it. */
export type Ask = (id: number) => boolean

interface Open<Key> {
  readonly waiting: Set<Key>
  readonly answers: Map<Key, unknown>
  readonly close: () => void
}

/** One question to several, with one deadline: whoever has not answered by then is left out. */
export class Survey<Key> {
  readonly #deadlineMs: number
  readonly #open = new Map<number, Open<Key>>()
  #last = 0

  constructor(deadlineMs: number) {
    this.#deadlineMs = deadlineMs
  }

  /** The answers of those who gave one in time. */
  ask(asked: ReadonlyMap<Key, Ask>): Promise<ReadonlyMap<Key, unknown>> {
    const id = ++this.#last
    return new Promise((resolve) => {
      const answers = new Map<Key, unknown>()
      const timer = setTimeout(() => open.close(), this.#deadlineMs)
      const open: Open<Key> = {
        waiting: new Set(asked.keys()),
        answers,
        close: () => {
          clearTimeout(timer)
          this.#open.delete(id)
          resolve(answers)
        },
      }
      this.#open.set(id, open)
      for (const [key, ask] of asked) if (!ask(id)) open.waiting.delete(key)
      if (open.waiting.size === 0) open.close()
    })
  }

  /** Hears an answer. One that comes too late is nobody's. */
  answered(key: Key, id: number, answer: unknown): void {
    const open = this.#open.get(id)
    if (!open?.waiting.delete(key)) return
    open.answers.set(key, answer)
    if (open.waiting.size === 0) open.close()
  }

  /** Waits for `key` no more, and forgets what it has said: who asked is told of the living. */
  gone(key: Key): void {
    for (const open of [...this.#open.values()]) {
      open.answers.delete(key)
      if (open.waiting.delete(key) && open.waiting.size === 0) open.close()
    }
  }
}
