import { once } from 'node:events'
import { createConnection, createServer, type Server, type Socket } from 'node:net'

/** A way to a server that can be cut, closed, slowed down and blocked, on a port of the loopback interface. */
export interface TcpProxy {
  readonly port: number
  /** How many clients are connected through it now. */
  readonly connections: number
  /** Resets every connection that there is. New ones are served as before. */
  cut(): void
  /** True: whoever connects from now on is refused, and existing connections stay. False: they are served again. */
  refuse(on: boolean): Promise<void>
  /** A black hole: connections stay open, and new ones open, but no byte passes in either direction. */
  pause(): void
  /** Ends it: what was sent meanwhile arrives. */
  resume(): void
  /** From now on every byte takes so much longer, in each direction: a round trip twice as long. */
  delay(milliseconds: number): void
  /**
   * Resets the first connection whose server answers with bytes for which `isIt` holds, before its client gets any of
   * them; resolves then. `asked` is what the client had sent since the answer before, at most its last 64 KiB.
   */
  cutAfter(isIt: (answer: Buffer, asked: Buffer) => boolean): Promise<void>
  /** Resets what there is and listens no more. */
  close(): Promise<void>
}

export interface TcpProxyOptions {
  /** Where the server is; `127.0.0.1` unless said otherwise. */
  readonly host?: string
  readonly port: number
}

/** Bytes of one direction that wait here for their time; beyond it, their sender has to wait. */
const mostHeld = 1024 * 1024
const mostAsked = 64 * 1024

/** Starts one. Whoever starts it closes it. */
export async function startTcpProxy({ host = '127.0.0.1', port }: TcpProxyOptions): Promise<TcpProxy> {
  const links = new Set<Link>()
  const traps = new Set<Trap>()
  const weather: Weather = { paused: false, delayMs: 0 }
  let server = await listen(0, accept)
  const ownPort = portOf(server)

  function accept(client: Socket): void {
    const upstream = createConnection({ host, port, allowHalfOpen: true, noDelay: true })
    const link = new Link(client, upstream, weather, (answer, asked) => {
      for (const trap of traps) {
        if (!trap.isIt(answer, asked)) continue
        traps.delete(trap)
        trap.spring()
        return true
      }
      return false
    })
    links.add(link)
    client.once('close', () => links.delete(link))
  }

  const cut = () => {
    for (const link of links) link.reset()
  }
  return {
    port: ownPort,
    get connections() {
      return links.size
    },
    cut,
    async refuse(on) {
      if (on === !server.listening) return
      // It stops listening at once; its end is that of its last connection.
      if (on) server.close()
      else server = await listen(ownPort, accept)
    },
    pause() {
      weather.paused = true
      for (const link of links) link.look()
    },
    resume() {
      weather.paused = false
      for (const link of links) link.look()
    },
    delay(milliseconds) {
      weather.delayMs = milliseconds
    },
    cutAfter: (isIt) => new Promise((spring) => traps.add({ isIt, spring })),
    async close() {
      const closed = server.listening ? once(server, 'close') : null
      server.close()
      cut()
      await closed
    },
  }
}

/** What every connection goes through just now. */
interface Weather {
  paused: boolean
  delayMs: number
}

interface Trap {
  isIt(answer: Buffer, asked: Buffer): boolean
  spring(): void
}

/** A client's connection and the one to the server in its name: they end together, half by half. */
class Link {
  readonly #sockets: readonly [Socket, Socket]
  readonly #flows: readonly [Flow, Flow]
  #asked = Buffer.alloc(0)
  #answered = false

  constructor(
    client: Socket,
    upstream: Socket,
    weather: Weather,
    trapped: (answer: Buffer, asked: Buffer) => boolean,
  ) {
    this.#sockets = [client, upstream]
    this.#flows = [
      new Flow(client, upstream, weather, (bytes) => {
        this.#ask(bytes)
        return true
      }),
      new Flow(upstream, client, weather, (bytes) => {
        this.#answered = true
        if (!trapped(bytes, this.#asked)) return true
        this.reset()
        return false
      }),
    ]
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      socket.on('error', () => this.reset())
      // Both halves ended: nothing is left to say. Otherwise it broke, and so does the other side.
      socket.once('close', () =>
        socket.readableEnded && socket.writableFinished ? undefined : other.resetAndDestroy(),
      )
    }
  }

  /** Goes on, or stops, as the weather is now. */
  look(): void {
    for (const flow of this.#flows) flow.look()
  }

  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  #ask(bytes: Buffer): void {
    const before = this.#answered ? Buffer.alloc(0) : this.#asked
    this.#answered = false
    this.#asked = Buffer.concat([before, bytes]).subarray(-mostAsked)
  }
}

/** One direction of a connection. Whoever sends faster than the other side reads is made to wait. */
class Flow {
  readonly #source: Socket
  readonly #sink: Socket
  readonly #weather: Weather
  readonly #held: { readonly bytes: Buffer; readonly dueAt: number }[] = []
  #heldBytes = 0
  #ended = false
  #timer: NodeJS.Timeout | null = null

  /** `admit` sees the bytes as they come; false: they go nowhere. */
  constructor(source: Socket, sink: Socket, weather: Weather, admit: (bytes: Buffer) => boolean) {
    this.#source = source
    this.#sink = sink
    this.#weather = weather
    source.on('data', (bytes: Buffer) => {
      if (!admit(bytes)) return
      this.#held.push({ bytes, dueAt: performance.now() + weather.delayMs })
      this.#heldBytes += bytes.length
      this.look()
    })
    source.once('end', () => {
      this.#ended = true
      this.look()
    })
    source.once('close', () => clearTimeout(this.#timer ?? undefined))
    sink.on('drain', () => this.look())
    this.look()
  }

  /** Passes on what is due, and reads on where there is room. */
  look(): void {
    clearTimeout(this.#timer ?? undefined)
    this.#timer = null
    if (this.#sink.destroyed) return
    while (!this.#weather.paused && !this.#sink.writableNeedDrain) {
      const [first] = this.#held
      if (first === undefined) break
      const waitsMs = first.dueAt - performance.now()
      if (waitsMs > 0) {
        this.#timer = setTimeout(() => this.look(), Math.ceil(waitsMs))
        break
      }
      this.#held.shift()
      this.#heldBytes -= first.bytes.length
      this.#sink.write(first.bytes)
    }
    const passed = this.#held.length === 0 && !this.#weather.paused
    if (this.#ended && passed && !this.#sink.writableEnded) this.#sink.end()
    if (this.#weather.paused || this.#sink.writableNeedDrain || this.#heldBytes >= mostHeld)
      this.#source.pause()
    else this.#source.resume()
  }
}

async function listen(port: number, accept: (client: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, accept)
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on no port')
  return address.port
}
