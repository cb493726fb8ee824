import type { Socket } from 'node:net'
import type { Clock } from '@latchkey/shared'
import type { Answer, Piece } from './answer.ts'
import { type Breakpoint, breakpointOf } from './breakpoint.ts'
import type { Client } from './client.ts'
import type { Directions } from './directions.ts'
import { Outlet } from './outlet.ts'
import type { Usage } from './usage.ts'

/** How far an answer came. */
export interface Delivery {
  readonly completed: 'full' | 'cut' | 'client-gone'
  /** Bytes of the body that were handed to the socket. */
  readonly bytes: number
  /** The usage that was stated to the client; null where no such part was written. */
  readonly reported: Usage | null
  /** What the provider bills: all input, and the output that was generated before it ended. */
  readonly billed: Usage | null
}

// Most answers leave in one system call, and long ones without waiting for all of themselves.
const gatherLength = 16 * 1024

/**
 * Writes the body of `answer` as `directions` say; the head is written already, and flushed with the
 * body's first bytes. A client that leaves is an outcome, not an exception.
 */
export async function deliver(
  client: Client,
  answer: Answer,
  directions: Directions,
  clock: Clock,
): Promise<Delivery> {
  const breakpoint = breakpointOf(directions.faults.breakage, answer)
  const trickles = directions.faults.travel.kind === 'trickle'
  const outlet = new Outlet(client, breakpoint?.afterBytes ?? Number.POSITIVE_INFINITY, trickles)
  const progress: Progress = { outputTokens: 0, reports: false }
  const writing: Writing = {
    client,
    answer,
    outlet,
    progress,
    breakpoint,
    timing: new Timing(directions, clock),
  }
  const end = await writePieces(writing)
  if (end === 'broken' && breakpoint) await breakOff(client, breakpoint)
  return {
    completed: end === 'broken' ? 'cut' : end,
    bytes: outlet.bytes,
    reported: progress.reports ? answer.usage : null,
    billed: billed(answer, end === 'full', progress.outputTokens),
  }
}

/** What of an answer is out: tokens once their piece is begun, usage once its piece is written. */
interface Progress {
  outputTokens: number
  reports: boolean
}

interface Writing {
  readonly client: Client
  readonly answer: Answer
  readonly outlet: Outlet
  readonly progress: Progress
  readonly breakpoint: Breakpoint | null
  readonly timing: Timing
}

async function writePieces(writing: Writing): Promise<'full' | 'client-gone' | 'broken'> {
  const { client, answer, outlet, progress, breakpoint, timing } = writing
  const most = breakpoint?.afterPieces ?? Number.POSITIVE_INFINITY
  // A broken answer is written piece by piece, so that the books know which pieces went out.
  const gathers = breakpoint === null && timing.gathers
  let text = ''
  let reports = false
  let count = 0
  for (const piece of piecesOf(answer)) {
    if (count++ >= most) return 'broken'
    const delayMs = timing.delayBefore(piece)
    if (delayMs > 0) {
      if (text !== '' && (await outlet.write(text)) === 'gone') return 'client-gone'
      text = ''
      progress.reports ||= reports
      client.response.flushHeaders()
      await client.wait(delayMs)
      if (client.gone) return 'client-gone'
    }
    progress.outputTokens += piece.outputTokens
    if (typeof piece.data === 'string' && gathers) {
      text += piece.data
      reports ||= piece.reports
      if (text.length < gatherLength) continue
    }
    const outcome = await outlet.write(text === '' ? piece.data : text)
    text = ''
    if (outcome === 'gone') return 'client-gone'
    if (outcome === 'partly') return 'broken'
    progress.reports ||= piece.reports || reports
  }
  if ((await outlet.end(text)) === 'gone') return 'client-gone'
  progress.reports ||= reports
  return 'full'
}

function piecesOf(answer: Answer): Iterable<Piece> {
  if (answer.kind === 'pieces') return answer.pieces
  return [{ data: answer.body, outputTokens: answer.usage?.outputTokens ?? 0, reports: answer.reports }]
}

// An answer in one piece was generated whole before its first byte.
function billed(answer: Answer, full: boolean, outputTokens: number): Usage | null {
  if (full || answer.usage === null || answer.kind === 'whole') return answer.usage
  const { usage } = answer
  return { ...usage, outputTokens, reasoningTokens: Math.min(usage.reasoningTokens, outputTokens) }
}

async function breakOff(client: Client, breakpoint: Breakpoint): Promise<void> {
  await client.flushed()
  switch (breakpoint.ending) {
    case 'close':
      client.response.socket?.destroy()
      return
    case 'reset':
      reset(client.response.socket)
      return
    case 'silence':
      await client.left()
      return
    default:
      return breakpoint.ending satisfies never
  }
}

/** Ends a connection with a TCP reset; a unix socket has none, and is closed. */
export function reset(socket: Socket | null): void {
  if (socket === null) return
  if (socket.remoteAddress === undefined) socket.destroy()
  else socket.resetAndDestroy()
}

/** When the next piece is due: by tokens per second since the first one, or a fixed pause later. */
class Timing {
  readonly #directions: Directions
  readonly #clock: Clock
  #startedAt: number | null = null
  #tokens = 0

  constructor(directions: Directions, clock: Clock) {
    this.#directions = directions
    this.#clock = clock
  }

  /** Whether pieces that are due at once may leave together. */
  get gathers(): boolean {
    return this.#directions.faults.travel.kind === 'paced'
  }

  /** Milliseconds to wait before `piece`. Ask once for each, in order. */
  delayBefore(piece: Piece): number {
    const { faults, pace } = this.#directions
    if (faults.travel.kind === 'slow') return faults.travel.pauseMs
    if (pace === 0) return 0
    const now = this.#clock.monotonic()
    this.#startedAt ??= now
    const due = this.#startedAt + (this.#tokens / pace) * 1000
    this.#tokens += piece.outputTokens
    return Math.max(0, due - now)
  }
}
