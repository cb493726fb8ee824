import type { PricedAsk } from '../bound/ask.ts'
import { readInputItems, readMessages } from '../bound/input-size.ts'

/** The texts of a request that its model reads word for word, and the rest. */
export interface CountableText {
  readonly texts: readonly string[]
  /** Bytes of the body that are neither these texts nor data of images: each may be a token. */
  readonly otherBytes: number
}

/** A shorter text is not worth the look: its bytes stand for it. */
const shortest = 64

/**
 * The texts of `ask` that a tokenizer may count. Null: there is none, they have more than `most` UTF-16 units, or
 * something else is billed as a whole context window, so a count would change nothing.
 *
 * Only what is known to reach the model as it was sent: messages of people and models, instructions, prompts,
 * texts to embed. Tools, schemas, and what tools gave back are rewritten in ways that no provider documents;
 * they, and all the JSON around the texts, go on counting a token a byte.
 */
export function countableText({ endpoint, fields, bytes }: PricedAsk, most: number): CountableText | null {
  const found = new Texts(most)
  let imageBytes = 0
  switch (endpoint) {
    case '/v1/chat/completions': {
      const size = readMessages(fields.messages)
      if (size.opaque !== null || size.audio !== null) return null
      imageBytes = size.dataBytes
      found.messages(fields.messages)
      break
    }
    case '/v1/responses':
    case '/v1/responses/compact': {
      const size = readInputItems(fields.input)
      if (size.opaque !== null || size.audio !== null) return null
      imageBytes = size.dataBytes
      found.text(fields.instructions)
      found.text(fields.input)
      found.messages(fields.input)
      break
    }
    case '/v1/completions':
      found.textOrTexts(fields.prompt)
      break
    case '/v1/embeddings':
      found.textOrTexts(fields.input)
      break
    default:
      return null
  }
  if (found.texts.length === 0 || found.units > most) return null
  return { texts: found.texts, otherBytes: Math.max(bytes - imageBytes - found.bytes, 0) }
}

const spokenRoles: ReadonlySet<unknown> = new Set(['system', 'developer', 'user', 'assistant'])
const textParts: ReadonlySet<unknown> = new Set(['text', 'input_text', 'output_text'])

/** Texts that were found, and the bytes that they take in the body. */
class Texts {
  readonly texts: string[] = []
  readonly #most: number
  units = 0
  bytes = 0

  constructor(most: number) {
    this.#most = most
  }

  text(value: unknown): void {
    if (typeof value !== 'string' || value.length < shortest) return
    this.units += value.length
    // To measure megabytes that nobody will count would cost the event loop.
    if (this.units > this.#most) return
    this.texts.push(value)
    // JSON spells no text shorter than this, so no byte of anything else is taken off.
    this.bytes += Buffer.byteLength(JSON.stringify(value)) - 2
  }

  textOrTexts(value: unknown): void {
    if (Array.isArray(value)) for (const one of value) this.text(one)
    else this.text(value)
  }

  messages(list: unknown): void {
    if (!Array.isArray(list)) return
    for (const message of list) {
      if (!isRecord(message) || !spokenRoles.has(message.role)) continue
      if (Array.isArray(message.content)) for (const part of message.content) this.#part(part)
      else this.text(message.content)
    }
  }

  #part(part: unknown): void {
    if (isRecord(part) && textParts.has(part.type)) this.text(part.text)
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
