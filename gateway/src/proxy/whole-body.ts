import type { IncomingMessage } from 'node:http'
import { BodyBlock } from './body-block.ts'
import type { BodyShare } from './buffered-bytes.ts'
import { type Refusal, refuse } from './refusal.ts'

export interface ReadLimits {
  readonly maxJsonBytes: number
  /** How long a body may stand still. */
  readonly idleTimeoutMs: number
}

/** How long a JSON body may take to arrive: 32 MiB at 280 KB/s. Memory is held for it meanwhile. */
const jsonDeadlineMs = 120_000

/**
 * Reads a body into memory, which `share` bounds over all requests. `null`: the client left. `proceed` is called
 * once it is sure that the body will be read, before the first byte of it.
 */
export function readWhole(
  incoming: IncomingMessage,
  share: BodyShare,
  { maxJsonBytes, idleTimeoutMs }: ReadLimits,
  proceed: () => void,
): Promise<Buffer | Refusal | null> {
  const announced = Number(incoming.headers['content-length'] ?? maxJsonBytes)
  if (announced > maxJsonBytes) return Promise.resolve(tooLarge(maxJsonBytes))
  // The client may have left while its key was verified; then `close` has been and won't come again.
  if (incoming.destroyed) return Promise.resolve(null)
  proceed()
  return new Promise((resolve) => {
    const block = new BodyBlock(share, announced)
    const late = () => finish(refuse('request_timeout'))
    let ended = false
    let deadline: NodeJS.Timeout | undefined
    let idle: NodeJS.Timeout | undefined
    // Mostly the body came with its head, and by the next tick it is here: then there is nothing to wait for.
    process.nextTick(() => {
      if (ended || incoming.complete) return
      deadline = setTimeout(late, jsonDeadlineMs)
      idle = setTimeout(late, idleTimeoutMs)
    })
    const finish = (result: Buffer | Refusal | null) => {
      ended = true
      clearTimeout(deadline)
      clearTimeout(idle)
      incoming.off('data', onData).off('end', onEnd).off('close', onClose)
      if (result === null) incoming.destroy()
      resolve(result)
    }
    const onData = (chunk: Buffer) => {
      if (block.length + chunk.length > maxJsonBytes) return finish(tooLarge(maxJsonBytes))
      if (!block.add(chunk)) return finish(refuse('overloaded'))
      idle?.refresh()
    }
    const onEnd = () => finish(block.whole())
    const onClose = () => finish(null)
    incoming.on('data', onData).on('end', onEnd).on('close', onClose).on('error', ignore)
  })
}

function tooLarge(maxJsonBytes: number): Refusal {
  return refuse('body_too_large', {
    message: `A JSON body may have ${maxJsonBytes} bytes here.`,
    details: { max_bytes: maxJsonBytes },
  })
}

/** `close` follows every error of a request and says what there is to know. */
function ignore(): void {}
