import { Agent, request } from 'undici'
import { type Ask, bodyOf, directionsOf } from './ask.ts'

/** What a client has seen of one request. */
export interface Outcome {
  /** Null: the connection broke, or the client left, before there was any. */
  readonly status: number | null
  /** The code of an error answer of the gateway's or the upstream's. */
  readonly code: string | null
  /** The gateway's id of the request; null where no head came. */
  readonly requestId: string | null
  /** Whether the answer ended as HTTP says it must. */
  readonly complete: boolean
  /** Whether a successful answer lacks its end: the last event of a stream, or the rest of a document. */
  readonly broken: boolean
}

const nothing: Outcome = { status: null, code: null, requestId: null, complete: false, broken: false }

/** Applications, as the gateway sees them. */
export class Clients {
  readonly #agent = new Agent({ connections: null, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 })

  /** One request, as far as its client waits for the answer. Whatever goes wrong is an outcome. `onHead`: its status is there. */
  async send(origin: string, ask: Ask, onHead = () => {}): Promise<Outcome> {
    const leaving = new AbortController()
    const timer =
      ask.leaves !== null && 'afterMs' in ask.leaves
        ? setTimeout(() => leaving.abort(), ask.leaves.afterMs)
        : undefined
    let head: Outcome = nothing
    if (ask.leaves !== null && 'once' in ask.leaves) void ask.leaves.once().then(() => leaving.abort())
    try {
      const answer = await request(`${origin}/v1/chat/completions`, {
        method: 'POST',
        dispatcher: this.#agent,
        signal: leaving.signal,
        headers: {
          authorization: `Bearer ${ask.key.token}`,
          'content-type': 'application/json',
          ...directionsOf(ask),
        },
        body: bodyOf(ask),
      })
      const requestId = answer.headers['latchkey-request-id']
      head = {
        ...nothing,
        status: answer.statusCode,
        requestId: typeof requestId === 'string' ? requestId : null,
      }
      onHead()
      const mostEvents = ask.leaves !== null && 'afterEvents' in ask.leaves ? ask.leaves.afterEvents : null
      let text = ''
      if (mostEvents === 0) throw new Error('left')
      for await (const chunk of answer.body.setEncoding('utf8')) {
        text += String(chunk)
        if (mostEvents !== null && text.split('\n\n').length > mostEvents) throw new Error('left')
      }
      const broken = answer.statusCode < 300 && !isWhole(text, ask.stream)
      return { ...head, code: answer.statusCode < 400 ? null : codeOf(text), complete: true, broken }
    } catch {
      // It left, or the connection broke: which of the two is known to whoever asked.
      leaving.abort()
      return head
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends every connection, at once. */
  close(): Promise<void> {
    return this.#agent.destroy()
  }
}

/** Whether an answer says all that it was to say. */
function isWhole(text: string, stream: boolean): boolean {
  if (stream) return text.trimEnd().endsWith('data: [DONE]')
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function codeOf(text: string): string | null {
  try {
    const body: unknown = JSON.parse(text)
    if (typeof body !== 'object' || body === null || !('error' in body)) return null
    const { error } = body
    return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : null
  } catch {
    return null
  }
}
