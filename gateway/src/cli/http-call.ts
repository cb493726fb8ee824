import type { IncomingMessage, RequestOptions } from 'node:http'
import { text } from 'node:stream/consumers'

export interface HttpAnswer {
  readonly status: number
  readonly text: string
}

/**
 * One HTTP request on a connection of its own, and its whole answer, however long it takes. Node's own client: a
 * command should not wait for a larger one to load. Rejects with the system's error where nobody answers.
 */
export async function httpCall(
  url: URL,
  options: Pick<RequestOptions, 'method' | 'headers' | 'signal'>,
  body: string | null,
): Promise<HttpAnswer> {
  const { request } = await (url.protocol === 'https:' ? import('node:https') : import('node:http'))
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request(url, { ...options, agent: false }, resolve)
      .on('error', reject)
      .end(body ?? undefined)
  })
  return { status: answer.statusCode ?? 0, text: await text(answer) }
}
