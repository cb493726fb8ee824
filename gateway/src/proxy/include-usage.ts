import { childrenOf, type JsonBody } from './json-body.ts'

/**
 * The body with `stream_options.include_usage` set, so that the stream tells its usage; null where
 * the client asked for that itself, or where the provider must judge what stands there. Bytes are
 * spliced, never serialised anew: all else arrives as it was sent.
 * Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options
 */
export function withIncludeUsage({ bytes, fields }: JsonBody): Buffer | null {
  const options = fields.stream_options
  if (options === undefined) {
    const open = bytes.indexOf('{') + 1
    return splice(bytes, open, open, '"stream_options":{"include_usage":true},')
  }
  if (options !== null && (typeof options !== 'object' || Array.isArray(options))) return null
  const member = childrenOf(bytes).find((child) => child.name === 'stream_options')
  if (member === undefined) return null
  if (options === null) return splice(bytes, member.start, member.end, '{"include_usage":true}')
  if ('include_usage' in options) {
    if (options.include_usage === true) return null
    const flag = childrenOf(member.value).find((child) => child.name === 'include_usage')
    return flag === undefined
      ? null
      : splice(bytes, member.start + flag.start, member.start + flag.end, 'true')
  }
  const comma = Object.keys(options).length === 0 ? '' : ','
  return splice(bytes, member.start + 1, member.start + 1, `"include_usage":true${comma}`)
}

function splice(bytes: Buffer, start: number, end: number, insertion: string): Buffer {
  return Buffer.concat([bytes.subarray(0, start), Buffer.from(insertion), bytes.subarray(end)])
}
