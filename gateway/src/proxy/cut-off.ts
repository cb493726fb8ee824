import type { ServerResponse } from 'node:http'

/**
 * Ends a client's connection in the middle of its answer, so that no parser can take what came for a whole
 * one. HTTP/1.0 knows no chunks: there a body without a length ends with the connection (RFC 9112, section
 * 6.3), and only a reset says that it was cut.
 */
export function cutOff(outgoing: ServerResponse, reason?: Error): void {
  if (outgoing.req.httpVersionMinor === 0 && outgoing.headersSent) outgoing.socket?.resetAndDestroy()
  outgoing.destroy(reason)
}
