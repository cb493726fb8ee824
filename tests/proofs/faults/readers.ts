import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Ask, bodyOf, directionsOf, plainAsk } from '../budgets/ask.ts'
import type { Gateway } from '../budgets/gateway.ts'
import type { Fault, World } from './fault.ts'
import { residentMemory } from './resident-memory.ts'

const backWithinMs = 2_000
const mebibyte = 2 ** 20
/** Buffers of the kernel take some of it off a gateway's hands, and what it has passed on is garbage for a while. */
const mostGrowth = 128 * mebibyte
/** Some 28 MB: so many choices of so many tokens, each an event. */
const large = { stream: true, maxTokens: 30_000, outputTokens: 30_000 } as const
const choices = 4
const watchedMs = 2_000
const lookAgainMs = 50
const closedWithinMs = 15_000

/** Clients that read nothing of what they have asked for. They go at last; `patient`: all but the first, which reads it to the end. */
export function slowReaders(count: number, patient: boolean): Fault {
  return {
    name: `${count} clients read nothing of 28 MB each`,
    refusals: [],
    backWithinMs,
    async strike(world) {
      const gateway = await world.deployment.gateway(world.dice.below(1_000))
      const clients: RawClient[] = []
      const growth = await watch(gateway, async () => {
        for (let number = 0; number < count; number++)
          clients.push(
            await RawClient.send(gateway, { ...plainAsk(world.key), ...large }, choices, 'reads nothing'),
          )
        await sleep(watchedMs)
      })
      expectBounded(world, `${count} clients that read nothing`, growth)
      const [first, ...others] = clients
      for (const client of others) client.leave()
      if (!patient) {
        first?.leave()
        return
      }
      const answer = (await first?.readOn()) ?? ''
      world.notes.expect(
        answer.trimEnd().endsWith('data: [DONE]'),
        'a client that read slowly did not get all of its answer',
      )
    },
  }
}

/** Clients that end their half of the connection as soon as they have asked, and go on reading. */
export function halfClosed(count: number): Fault {
  return {
    name: `${count} clients close their half of the connection`,
    refusals: [],
    backWithinMs,
    async strike(world) {
      const gateway = await world.deployment.gateway(world.dice.below(1_000))
      const ask = { ...plainAsk(world.key), stream: true, maxTokens: 60, outputTokens: 60, pace: 60 }
      const growth = await watch(gateway, async () => {
        const clients = await Promise.all(
          Array.from({ length: count }, () => RawClient.send(gateway, ask, 1, 'reads')),
        )
        for (const client of clients) client.closeHalf()
        const ended = Promise.all(clients.map((client) => client.ended))
        const answers = await Promise.race([ended, sleep(closedWithinMs, null)])
        world.notes.expect(
          answers !== null,
          `half-closed connections are open after ${closedWithinMs / 1000} s`,
        )
        const broken = (answers ?? []).filter(
          (answer) => answer.endsWith('\r\n0\r\n\r\n') && !answer.includes('data: [DONE]'),
        )
        world.notes.expect(
          broken.length === 0,
          `${broken.length} half-closed clients saw the clean end of a broken stream`,
        )
      })
      expectBounded(world, `${count} half-closed clients`, growth)
    },
  }
}

/** How much a gateway has grown at the most while `work` went on, in bytes; null where nobody tells. */
async function watch({ pid }: Gateway, work: () => Promise<void>): Promise<number | null> {
  const before = residentMemory(pid)
  if (before === null) {
    await work()
    return null
  }
  let most = before
  const timer = setInterval(() => {
    most = Math.max(most, residentMemory(pid) ?? 0)
  }, lookAgainMs)
  await work().finally(() => clearInterval(timer))
  return most - before
}

function expectBounded({ notes }: World, who: string, growth: number | null): void {
  if (growth === null) return
  const mebibytes = Math.round(growth / mebibyte)
  notes.measured.push(`${who}: the gateway grew by ${mebibytes} MiB at the most`)
  notes.expect(growth < mostGrowth, `${who}: the gateway grew by ${mebibytes} MiB`)
}

/** A client on a bare connection, which no library reads for. */
class RawClient {
  readonly #socket: Socket
  readonly #chunks: Buffer[] = []
  /** Resolves with all that came, once the connection has ended. */
  readonly ended: Promise<string>

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', () => undefined)
    socket.once('end', () => socket.end())
    this.ended = new Promise((resolve) =>
      socket.once('close', () => resolve(Buffer.concat(this.#chunks).toString('latin1'))),
    )
  }

  /** Connects and sends a request. */
  static async send(
    { dataUrl }: Gateway,
    ask: Ask,
    n: number,
    then: 'reads' | 'reads nothing',
  ): Promise<RawClient> {
    const { hostname, port } = new URL(dataUrl)
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
    await once(socket, 'connect')
    const client = new RawClient(socket)
    const body = JSON.stringify({ ...JSON.parse(bodyOf(ask)), n })
    const headers = {
      ...{ host: hostname, authorization: `Bearer ${ask.key.token}`, connection: 'close' },
      ...{ 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) },
      ...directionsOf(ask),
    }
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\n${lines.join('')}\r\n${body}`)
    if (then === 'reads') client.#read()
    return client
  }

  /** Reads to the end: the body, without the marks of its chunks. */
  async readOn(): Promise<string> {
    this.#read()
    const answer = await this.ended
    return answer.slice(answer.indexOf('\r\n\r\n') + 4).replace(/(?:^|\r\n)[0-9a-f]+\r\n/g, '')
  }

  leave(): void {
    this.#socket.destroy()
  }

  closeHalf(): void {
    this.#socket.end()
  }

  #read(): void {
    this.#socket.on('data', (chunk: Buffer) => this.#chunks.push(chunk))
  }
}
