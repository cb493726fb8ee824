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
}

/** Nothing but text. */
export function textOnly(): InputSize {
  return { images: 0, dataBytes: 0, opaque: null, audio: null }
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
    if (typeof message !== 'object' || message === null) {
      size.opaque ??= `messages[${index}]`
      continue
    }
    // An assistant's message may name audio that it spoke earlier.
    if ('audio' in message && message.audio !== null) size.opaque ??= `messages[${index}].audio`
    if ('content' in message) readContent(size, message.content, 'messages', index)
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

function readItem(size: InputSize, item: unknown, index: number): void {
  if (typeof item !== 'object' || item === null) {
    size.opaque ??= `input[${index}]`
    return
  }
  const type = 'type' in item ? item.type : 'message'
  switch (type) {
    case 'message':
      if ('content' in item) readContent(size, item.content, 'input', index)
      return
    case 'function_call':
    case 'custom_tool_call':
      return
    case 'function_call_output':
    case 'custom_tool_call_output':
      if ('output' in item) readContent(size, item.output, 'input', index)
      return
    case 'reasoning':
      // Without its encrypted content, the provider fetches what it has stored.
      if ('encrypted_content' in item && typeof item.encrypted_content === 'string') return
      size.opaque ??= `input[${index}]`
      return
    default:
      size.opaque ??= `input[${index}]`
  }
}

function readContent(size: InputSize, content: unknown, list: string, index: number): void {
  if (typeof content === 'string' || content === null || content === undefined) return
  if (!Array.isArray(content)) {
    size.opaque ??= `${list}[${index}]`
    return
  }
  for (let part = 0; part < content.length; part++) {
    readPart(size, content[part], () => `${list}[${index}].content[${part}]`)
  }
}

function readPart(size: InputSize, part: unknown, path: () => string): void {
  const type: unknown = typeof part === 'object' && part !== null && 'type' in part ? part.type : undefined
  switch (type) {
    case 'text':
    case 'input_text':
    case 'output_text':
    case 'refusal':
      return
    case 'image_url':
    case 'input_image':
      size.images++
      size.dataBytes += dataBytes(part)
      return
    case 'input_audio':
      size.audio ??= path()
      return
    default:
      size.opaque ??= path()
  }
}

/** The length of a `data:` URL, which is ASCII; 0 for an image that is only named. */
function dataBytes(part: unknown): number {
  const url: unknown =
    typeof part === 'object' && part !== null && 'image_url' in part ? part.image_url : undefined
  const address: unknown = typeof url === 'object' && url !== null && 'url' in url ? url.url : url
  return typeof address === 'string' && /^data:[\x20-\x7e]{0,128},/.test(address) ? address.length : 0
}
