import type { Worker } from 'node:cluster'

/** A connection that is on its way to a worker. */
interface Handover {
  readonly worker: Worker
  /** Which listening socket it came by. */
  readonly socket: unknown
  readonly connection: { close(): void }
}

/**
 * Closes the connections that a worker was given and had not taken when it died. `node:cluster` waits for its word on each of
 * them, and has none for its death: clients would wait until they give up, and each would stay open in this process for good.
 */
export class Handovers {
  /** One for each worker and listening socket at the most: the next one follows when this one was taken. */
  readonly #last = new Set<Handover>()

  /** Watches what `worker` is given, until it ends. */
  watch(worker: Worker): void {
    const { process } = worker
    process.send = new Proxy(process.send, {
      apply: (send, self, values: readonly unknown[]) => {
        const handover = parseHandover(worker, values)
        if (handover !== null) this.#given(handover)
        return Reflect.apply(send, self, values)
      },
    })
    worker.once('exit', () => {
      for (const handover of this.#last) {
        if (handover.worker !== worker) continue
        this.#last.delete(handover)
        // Nothing happens to one that was taken: it is closed here already.
        handover.connection.close()
      }
    })
  }

  #given(next: Handover): void {
    for (const last of this.#last) {
      const taken = last.worker === next.worker && last.socket === next.socket
      // Or a worker that drains has given it back.
      if (taken || last.connection === next.connection) this.#last.delete(last)
    }
    this.#last.add(next)
  }
}

/** What is sent as a connection (lib/internal/cluster/round_robin_handle.js of Node); null where it is something else. */
function parseHandover(worker: Worker, [message, connection]: readonly unknown[]): Handover | null {
  if (typeof message !== 'object' || message === null || !('act' in message && 'key' in message)) return null
  if (message.act !== 'newconn' || !isClosable(connection)) return null
  return { worker, socket: message.key, connection }
}

function isClosable(value: unknown): value is { close(): void } {
  return typeof value === 'object' && value !== null && 'close' in value && typeof value.close === 'function'
}
