import type { IncomingMessage } from 'node:http'

const lingerMs = 2_000
const lingerBytes = 8 * 2 ** 20

/**
 * Reads on what the client is still sending, for a while: closing at once would reset the connection
 * under the answer (RFC 9112, section 9.6). What is longer or slower than that is cut.
 */
export function linger(incoming: IncomingMessage): void {
  if (incoming.complete || incoming.destroyed) return
  let bytes = 0
  const timer = setTimeout(() => incoming.destroy(), lingerMs)
  incoming.on('error', ignore)
  incoming.once('close', () => clearTimeout(timer))
  incoming.once('end', () => clearTimeout(timer))
  incoming.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > lingerBytes) incoming.destroy()
  })
  incoming.resume()
}

/** `close` says all there is to know about a request that failed while it was thrown away. */
function ignore(): void {}
