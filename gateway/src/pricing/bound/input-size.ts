import { itemKinds, messageMembers, partKinds } from './input-members.ts'

/** What a request sends that its bytes say nothing of. */
export interface InputSize {
  /** Images, whether in the body or named. */
  images: number
  /** Bytes of the body that are data of images, and no text. */
  dataBytes: number
  /** Where it names something whose size can't be seen (a file, a stored conversation); null: nowhere. */
  opaque: string | null
  /** Where it sends audio; null: nowhere. */
  audio: string | null
  /** Whether a part of it asks to be cached, and so may be kept long. */
  cached: boolean
}

/** Nothing but text. */
export function textOnly(): InputSize {
  return { images: 0, dataBytes: 0, opaque: null, audio: null, cached: false }
}

/** Reads the messages of a chat request. What is not understood is opaque. */
export function readMessages(messages: unknown): InputSize {
  const size = textOnly()
  if (!Array.isArray(messages)) {
    size.opaque = 'messages'
    return size
  }
  for (let index = 0; index < messages.length; index++) {
    const message: unknown = messages[index]
    if (!isRecord(message)) {
      size.opaque ??= `messages[${index}]`
      continue
    }
    if (hasOthers(message, messageMembers)) size.opaque ??= `messages[${index}]`
    // An assistant's message may name audio that it spoke earlier.
    if ('audio' in message && message.audio !== null) size.opaque ??= `messages[${index}].audio`
    const { content } = message
    if (content !== null && content !== undefined) readContent(size, content, 'messages', index)
  }
  return size
}

/** Reads the input items of the Responses API. What is not understood is opaque. */
export function readInputItems(input: unknown): InputSize {
  const size = textOnly()
  if (input === undefined || input === null || typeof input === 'string') return size
  if (!Array.isArray(input)) {
    size.opaque = 'input'
    return size
  }
  for (let index = 0; index < input.length; index++) readItem(size, input[index], index)
  return size
}

/**
 * Reads prompts, or texts to embed: a text, tokens, or a list of either. Anything else, such as an image that
 * some API embeds beside texts, is opaque.
 */
export function readPrompts(prompts: unknown, field: string): InputSize {
  const size = textOnly()
  const isPlain =
    prompts === undefined ||
    prompts === null ||
    isPrompt(prompts) ||
    (Array.isArray(prompts) && prompts.every(isPrompt))
  if (!isPlain) size.opaque = field
  return size
}

function isPrompt(value: unknown): boolean {
  return typeof value === 'string' || (Array.isArray(value) && value.every((one) => typeof one === 'number'))
}

function readItem(size: InputSize, item: unknown, index: number): void {
  const path = `input[${index}]`
  if (!isRecord(item)) {
    size.opaque ??= path
    return
  }
  // An item that is only named is a reference, with or without a type: the provider fetches what it has stored.
  const kind = itemKinds.get('type' in item ? item.type : 'message')
  if (kind === undefined || hasOthers(item, kind.members) || lacks(item, kind.spelledOut))
    size.opaque ??= path
  if (kind === undefined || kind.content === null) return
  readContent(size, item[kind.content], 'input', index)
}

function readContent(size: InputSize, content: unknown, list: string, index: number): void {
  if (typeof content === 'string') return
  if (!Array.isArray(content)) {
    size.opaque ??= `${list}[${index}]`
    return
  }
  for (let part = 0; part < content.length; part++) {
    readPart(size, content[part], () => `${list}[${index}].content[${part}]`)
  }
}

function readPart(size: InputSize, part: unknown, path: () => string): void {
  if (!isRecord(part)) {
    size.opaque ??= path()
    return
  }
  if ('prompt_cache_breakpoint' in part || 'cache_control' in part) size.cached = true
  const kind = partKinds.get(part.type)
  if (kind === undefined || hasOthers(part, kind.members)) {
    size.opaque ??= path()
    return
  }
  switch (kind.is) {
    case 'text':
      return
    case 'image':
      readImage(size, part, path)
      return
    case 'audio':
      size.audio ??= path()
      return
    default:
      kind.is satisfies never
  }
}

const imageMembers: ReadonlySet<string> = new Set(['url', 'detail'])

/** An image is one address, or the id of one stored file. Some APIs take documents and films in its place. */
function readImage(size: InputSize, part: Readonly<Record<string, unknown>>, path: () => string): void {
  size.images++
  const { image_url: image, file_id: file } = part
  if (isRecord(image) && hasOthers(image, imageMembers)) size.opaque ??= path()
  const address = isRecord(image) ? image.url : (image ?? null)
  if (typeof address === 'string' && (file ?? null) === null) {
    // The length of a `data:` URL, which is ASCII; an image that is only named has none.
    if (/^data:image\/[\x20-\x7e]{0,128},/i.test(address)) size.dataBytes += address.length
    else if (!/^https?:\/\//i.test(address)) size.opaque ??= path()
  } else if (address !== null || typeof file !== 'string') size.opaque ??= path()
}

/** Whether `value` has a member that is none of `members`: what it may mean to its reader is not known. */
function hasOthers(value: Readonly<Record<string, unknown>>, members: ReadonlySet<string>): boolean {
  for (const name in value) if (value[name] !== null && !members.has(name)) return true
  return false
}

/** Whether one of `members` is neither a text nor a list. */
function lacks(value: Readonly<Record<string, unknown>>, members: readonly string[]): boolean {
  return members.some((name) => typeof value[name] !== 'string' && !Array.isArray(value[name]))
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
