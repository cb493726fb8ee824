import { errorFields, type Log } from '@latchkey/shared'

/** What has been opened, to be closed once and in reverse. What fails to close doesn't keep the rest open. */
export class Closers {
  readonly #log: Log
  readonly #open: { readonly name: string; readonly close: () => Promise<void> }[] = []
  #closing: Promise<void> | null = null

  constructor(log: Log) {
    this.#log = log
  }

  add(name: string, close: () => Promise<void>): void {
    this.#open.push({ name, close })
  }

  /** Called again, it waits for the same end. */
  closeAll(): Promise<void> {
    this.#closing ??= this.#closeInTurn()
    return this.#closing
  }

  async #closeInTurn(): Promise<void> {
    for (const { name, close } of this.#open.toReversed()) {
      try {
        await close()
      } catch (error) {
        this.#log.error('gateway.close_failed', { name, ...errorFields(error) })
      }
    }
  }
}
