import type { ServerResponse } from 'node:http'
import { type ReceivedHeaders, responseHeaders } from './response-headers.ts'

const mostPassed = 8
const mostTaken = 100

/**
 * The 1xx answers of one attempt (RFC 9110, section 15.2). A few are passed on, none to a client that can't read
 * them (HTTP/1.0) or doesn't, for nothing holds an upstream back that sends them.
 */
export class InterimAnswers {
  readonly #outgoing: ServerResponse
  #taken = 0
  #passed = 0

  constructor(outgoing: ServerResponse) {
    this.#outgoing = outgoing
  }

  /** Passes one on, or drops it. False: there were more than any upstream in its right mind sends. */
  take(status: number, received: ReceivedHeaders): boolean {
    if (++this.#taken > mostTaken) return false
    if (this.#passed < mostPassed && this.#isReading() && this.#pass(status, received)) this.#passed++
    return true
  }

  #isReading(): boolean {
    const { req, socket, destroyed } = this.#outgoing
    return !destroyed && req.httpVersionMinor !== 0 && socket !== null && !socket.writableNeedDrain
  }

  #pass(status: number, received: ReceivedHeaders): boolean {
    if (status === 102) {
      this.#outgoing.writeProcessing()
      return true
    }
    return status === 103 && passHints(this.#outgoing, received)
  }
}

/** Passes on the links of a 103 (RFC 8297), where there are any. */
function passHints(outgoing: ServerResponse, received: ReceivedHeaders): boolean {
  const { flat } = responseHeaders(received)
  const values = flat.filter((_, index) => index % 2 === 1 && flat[index - 1] === 'link')
  const link = values.flatMap((value) => value.split(/,\s*(?=<)/))
  if (link.length === 0) return false
  try {
    outgoing.writeEarlyHints({ link })
    return true
  } catch {
    // Node throws at links that its own pattern does not know. A hint may be lost; the answer must not be.
    return false
  }
}
