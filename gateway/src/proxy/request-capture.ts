import type { IncomingMessage } from 'node:http'
import type { BodyDirection, OrganizationId, RequestId } from '@latchkey/shared'
import type { Principal } from '@latchkey/vault'
import { BodyTap, type Gathered } from '../capture/body-tap.ts'
import { type BodyRecorder, isText, mostBodyBytes } from '../capture/captured-body.ts'
import type { Annotations } from './annotations.ts'
import type { Ask } from './read.ts'
import { Upload } from './upload.ts'

/** What is kept of the bodies of one request. Null: nothing is, and nothing of this costs anything. */
export function captureFor(
  { policy, group, organizationId }: Principal,
  { omitRequest, omitResponse }: Annotations,
  requestId: RequestId,
  bodies: BodyRecorder,
): RequestCapture | null {
  if (!policy.capture && group?.capture !== true) return null
  if (omitRequest && omitResponse) return null
  return new RequestCapture(bodies, organizationId, requestId, { omitRequest, omitResponse })
}

/** The bodies of one request on their way into the books. */
export class RequestCapture {
  /** Takes what passes of the answer; null: it is to be omitted. */
  readonly response: BodyTap | null
  readonly #bodies: BodyRecorder
  readonly #organizationId: OrganizationId
  readonly #requestId: RequestId
  readonly #omitsRequest: boolean

  constructor(
    bodies: BodyRecorder,
    organizationId: OrganizationId,
    requestId: RequestId,
    omits: Pick<Annotations, 'omitRequest' | 'omitResponse'>,
  ) {
    this.#bodies = bodies
    this.#organizationId = organizationId
    this.#requestId = requestId
    this.#omitsRequest = omits.omitRequest
    this.response = omits.omitResponse ? null : new BodyTap(bodies.memory)
  }

  /** The request is over: keeps what it asked, and what it was answered by a provider (`answered`). */
  finish(incoming: IncomingMessage, ask: Ask, answered: boolean): void {
    if (answered) this.#keep('response', this.response?.take() ?? null)
    if (!this.#omitsRequest) this.#keep('request', this.#asked(incoming, ask))
  }

  /** Gives back what was gathered and is not to be kept. After `finish` there is nothing. */
  drop(): void {
    this.response?.drop()
  }

  /** A copy: what is kept of a large body must not keep all of it. */
  #asked({ headers }: IncomingMessage, { body }: Ask): Gathered | null {
    if (body === null) return null
    const [essence = ''] = (headers['content-type'] ?? '').split(';', 1)
    const mediaType = essence.trim().toLowerCase()
    if (body instanceof Upload) {
      const { fields } = body
      const form = Object.keys(fields).length === 0 ? null : Buffer.from(JSON.stringify(fields))
      return form === null ? noteOf(mediaType, body.bytes) : this.#copied(mediaType, form, body.bytes)
    }
    return isText(mediaType) ? this.#copied(mediaType, body, body.length) : noteOf(mediaType, body.length)
  }

  #copied(mediaType: string, text: Buffer, bytes: number): Gathered | null {
    const held = Math.min(text.length, mostBodyBytes)
    if (!this.#bodies.memory.take(held)) return null
    const content = Uint8Array.prototype.slice.call(text, 0, held)
    return { mediaType, bytes, content, truncated: text.length > held, held }
  }

  #keep(direction: BodyDirection, gathered: Gathered | null): void {
    if (gathered === null) return
    const { mediaType, bytes, content, truncated, held } = gathered
    const place = { organizationId: this.#organizationId, requestId: this.#requestId, direction }
    this.#bodies.keep({ ...place, mediaType, bytes, content, truncated, held })
  }
}

/** Of what is no text, its type and length are kept. */
function noteOf(mediaType: string, bytes: number): Gathered | null {
  return bytes === 0 ? null : { mediaType, bytes, content: null, truncated: false, held: 0 }
}
