// The least that a gateway on Node can be, and the benchmark's 1.0x: look a key up, send the body on with undici's
// dispatch, write what comes to the client, read its usage, count. No vault, policy, limit, budget, record, retry,
// timeout or log; what goes wrong ends in a 502 or a cut connection.
import { hash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type Dispatcher, Pool } from 'undici'

/** What is done for a request beside passing it on. */
export interface Extras {
  /** The provider's key, for this request. */
  readonly providerKey: () => string
  /** Null: nobody listens, and nothing is put together to be told. */
  readonly ended: ((request: Ended) => void) | null
}

/** A request whose answer has been passed on. */
export interface Ended {
  readonly model: string
  readonly status: number
  readonly streamed: boolean
  readonly requestBytes: number
  readonly responseBytes: number
  /** Monotonic milliseconds. */
  readonly started: number
  /** As the provider spells it. */
  readonly usage: ChatUsage
}

export interface ChatUsage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly total_tokens: number
}

const { PORT = '', PROVIDER = '', PROVIDER_KEY = '', KEY = '' } = process.env
const pool = new Pool(PROVIDER, { pipelining: 1, allowH2: false })
const keys = new Map([[hash('sha256', KEY), { requests: 0, tokens: 0 }]])
type Account = { requests: number; tokens: number }

const wholeBytes = 64 * 1024
const keptTail = 4096
const endsHere = new Set([
  ...['host', 'authorization', 'connection', 'keep-alive', 'transfer-encoding', 'content-length'],
  ...['accept-encoding', 'te', 'trailer', 'upgrade', 'expect', 'cookie'],
])

/** Serves until it is ended, where and for what the environment says. */
export function serveBare(extras: Extras): void {
  createServer({ keepAliveTimeout: 65_000, requestTimeout: 0 }, (incoming, outgoing) => {
    const account = keys.get(hash('sha256', (incoming.headers.authorization ?? '').slice('Bearer '.length)))
    if (account === undefined) {
      outgoing.writeHead(401).end()
      return
    }
    const parts: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => parts.push(chunk))
    incoming.on('end', () => send(account, extras, incoming, outgoing, joined(parts)))
  }).listen({ port: Number(PORT), host: '127.0.0.1', backlog: 4096 })
}

function send(
  account: Account,
  extras: Extras,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  body: Buffer,
): void {
  const started = extras.ended === null ? 0 : performance.now()
  let model: unknown
  try {
    model = JSON.parse(body.toString()).model
  } catch {}
  if (typeof model !== 'string') {
    outgoing.writeHead(400).end()
    return
  }
  const headers = ['authorization', `Bearer ${extras.providerKey()}`]
  const { rawHeaders } = incoming
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    if (!endsHere.has(name.toLowerCase())) headers.push(name, rawHeaders[index + 1] ?? '')
  }
  const asked = extras.ended === null ? null : { model, requestBytes: body.length, started }
  pool.dispatch(
    { method: 'POST', path: incoming.url ?? '/', headers, body },
    new Forward(account, extras, asked, outgoing),
  )
}

type Asked = Pick<Ended, 'model' | 'requestBytes' | 'started'>

class Forward implements Dispatcher.DispatchHandler {
  readonly #account: Account
  readonly #extras: Extras
  readonly #asked: Asked | null
  readonly #outgoing: ServerResponse
  #controller: Dispatcher.DispatchController | null = null
  #status = 0
  #head: string[] = []
  #stream = false
  #whole: Buffer[] | null = null
  #pending: Buffer[] | null = null
  #tail: Buffer = Buffer.alloc(0)
  #bytes = 0

  constructor(account: Account, extras: Extras, asked: Asked | null, outgoing: ServerResponse) {
    this.#account = account
    this.#extras = extras
    this.#asked = asked
    this.#outgoing = outgoing
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) this.#controller?.abort(new Error('the client has left'))
    })
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    const raw = Array.isArray(controller.rawHeaders) ? controller.rawHeaders : []
    let length = -1
    for (let index = 0; index + 1 < raw.length; index += 2) {
      const name = String(raw[index]).toLowerCase()
      if (endsHere.has(name) && name !== 'content-length') continue
      const value = String(raw[index + 1])
      if (name === 'content-length') length = Number(value)
      if (name === 'content-type') this.#stream = value.startsWith('text/event-stream')
      this.#head.push(name, value)
    }
    this.#status = status
    if (length >= 0 && length <= wholeBytes) this.#whole = []
    else process.nextTick(flush, this)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#whole !== null) this.#whole.push(chunk)
    else if (this.#pending !== null) this.#pending.push(chunk)
    else {
      this.#pending = [chunk]
      process.nextTick(flush, this)
    }
  }

  /** Writes what has come in this tick. */
  flush(): void {
    const outgoing = this.#outgoing
    if (outgoing.destroyed || outgoing.writableEnded) return
    if (!outgoing.headersSent) outgoing.writeHead(this.#status, this.#head)
    if (this.#pending === null) return
    const bytes = joined(this.#pending)
    this.#pending = null
    this.#tail = bytes.length >= keptTail ? bytes : Buffer.concat([this.#tail.subarray(-keptTail), bytes])
    if (outgoing.write(bytes)) return
    this.#controller?.pause()
    outgoing.once('drain', () => this.#controller?.resume())
  }

  onResponseEnd(): void {
    if (this.#whole === null) {
      this.flush()
      this.#outgoing.end()
      this.#count(usageInTail(this.#tail))
      return
    }
    const body = joined(this.#whole)
    this.#outgoing.writeHead(this.#status, this.#head).end(body.toString('latin1'), 'latin1')
    this.#count(this.#stream ? usageInTail(body) : body.toString())
  }

  onResponseError(): void {
    if (this.#outgoing.headersSent) this.#outgoing.destroy()
    else this.#outgoing.writeHead(502).end()
  }

  #count(json: string): void {
    this.#account.requests++
    let usage: ChatUsage
    try {
      usage = JSON.parse(json).usage
      this.#account.tokens += usage.total_tokens
    } catch {
      return
    }
    if (this.#asked === null) return
    this.#extras.ended?.({
      ...this.#asked,
      status: this.#status,
      streamed: this.#stream,
      responseBytes: this.#bytes,
      usage,
    })
  }
}

function flush(forward: Forward): void {
  forward.flush()
}

function usageInTail(tail: Buffer): string {
  const at = tail.lastIndexOf('"usage":{')
  const start = at === -1 ? -1 : tail.lastIndexOf('data: ', at)
  return start === -1 ? '' : tail.toString('utf8', start + 'data: '.length, tail.indexOf('\n', at))
}

function joined(parts: readonly Buffer[]): Buffer {
  const [only] = parts
  return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts)
}

if (import.meta.main) serveBare({ providerKey: () => PROVIDER_KEY, ended: null })
