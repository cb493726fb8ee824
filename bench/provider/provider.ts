// The benchmark's provider, in a process of its own: `node provider.ts <port>`. It answers canned bytes on raw
// sockets, so that it costs little beside the gateway that is measured.
import { createServer, type Socket } from 'node:net'
import { jsonAnswer, streamEnd, streamHead, textEvent, wholeStream } from './answers.ts'
import { markNow } from './marks.ts'
import { RequestReader } from './request-reader.ts'
import { readWishes, type Wishes } from './wishes.ts'

/** A stream that is under way. */
interface Paced {
  readonly wishes: Wishes
  readonly everyMs: number
  left: number
  /** Monotonic milliseconds. */
  dueAt: number
}

const tickMs = 1
const bursts = new Map<string, Buffer>()
const paced = new Map<Socket, Paced>()
let ticking: NodeJS.Timeout | null = null

createServer({ noDelay: true }, (socket) => {
  const reader = new RequestReader((body) => answer(socket, body))
  socket.on('data', (chunk: Buffer) => reader.push(chunk))
  socket.on('error', () => socket.destroy())
  socket.on('close', () => paced.delete(socket))
}).listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 })

function answer(socket: Socket, body: Buffer): void {
  const wishes = readWishes(body)
  if (!wishes.stream) socket.write(jsonAnswer)
  else if (wishes.pace === 0) socket.write(burst(wishes))
  else begin(socket, wishes)
}

function burst({ events, includeUsage }: Wishes): Buffer {
  const name = `${events} ${includeUsage}`
  const known = bursts.get(name)
  if (known !== undefined) return known
  const bytes = wholeStream(events, includeUsage)
  bursts.set(name, bytes)
  return bytes
}

function begin(socket: Socket, wishes: Wishes): void {
  socket.write(streamHead)
  const everyMs = 1000 / wishes.pace
  paced.set(socket, { wishes, everyMs, left: wishes.events, dueAt: performance.now() + everyMs })
  ticking ??= setInterval(tick, tickMs)
}

/** One timer for all: thousands of them would cost more than what they send. */
function tick(): void {
  const now = performance.now()
  for (const [socket, stream] of paced) {
    if (stream.dueAt > now) continue
    stream.dueAt += stream.everyMs
    if (stream.left-- > 0) {
      socket.write(textEvent(markNow()))
      continue
    }
    socket.write(streamEnd(stream.wishes.events, stream.wishes.includeUsage))
    paced.delete(socket)
  }
  if (paced.size > 0 || ticking === null) return
  clearInterval(ticking)
  ticking = null
}
