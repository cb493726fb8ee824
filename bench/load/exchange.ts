import type { Dispatcher, Pool } from 'undici'

/** A request, and who hears of its answer. */
export interface ExchangeOptions {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Each chunk of the answer's body. */
  readonly onData?: (chunk: Buffer) => void
  /** When to leave without waiting for the end: once it is sent, or with the first chunk. */
  readonly leave?: 'sent' | 'answered'
}

/** How a request ended. `left`: on our side. */
export type Ending = 'answered' | 'failed' | 'left'

const leaving = new Error('the client leaves')

/** Sends one request. Resolves when it has ended; answered is one with a status below 400, to its end. */
export function exchange(
  pool: Pool,
  { path, headers, body, onData, leave }: ExchangeOptions,
): Promise<Ending> {
  return new Promise((resolve) => {
    let succeeded = false
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(controller) {
        // Before this returns nothing has been sent.
        if (leave === 'sent') setImmediate(() => controller.abort(leaving))
      },
      onResponseStart(_controller, status) {
        succeeded = status < 400
      },
      onResponseData(controller, chunk) {
        onData?.(chunk)
        if (leave === 'answered') controller.abort(leaving)
      },
      onResponseEnd() {
        resolve(succeeded ? 'answered' : 'failed')
      },
      onResponseError(_controller, error) {
        resolve(error === leaving ? 'left' : 'failed')
      },
    }
    pool.dispatch({ method: 'POST', path, headers, body }, handler)
  })
}
