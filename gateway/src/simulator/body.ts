import type { IncomingMessage } from 'node:http'
import { LatchkeyError } from '@latchkey/shared'
import { isObject, type JsonObject } from './fields.ts'

/** Reads a JSON object. Throws `body_too_large`, `invalid_json`; an Error where the client leaves. */
export async function readJson(request: IncomingMessage, maxBytes: number): Promise<JsonObject> {
  const text = (await readBytes(request, maxBytes)).toString()
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new LatchkeyError('invalid_json', { cause })
  }
  if (!isObject(value)) throw new LatchkeyError('invalid_json', { message: 'The body is not a JSON object.' })
  return value
}

// Events and not `for await`: the iterator of a request costs more than all the rest of a small one.
function readBytes(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > maxBytes) {
        chunks.length = 0
        reject(new LatchkeyError('body_too_large'))
      } else chunks.push(chunk)
    })
    request.once('end', () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)))
    request.once('error', reject)
    request.once('close', () => reject(new Error('The client left before its request was complete.')))
  })
}
