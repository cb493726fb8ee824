import type { JsonBody } from './json-body.ts'
import { memberOf, withMember } from './json-member.ts'

/**
 * The body with `stream_options.include_usage` set, so that the stream tells its usage; null where
 * the client asked for that itself, or where the provider must judge what stands there.
 * Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options
 */
export function withIncludeUsage({ bytes, fields }: JsonBody): Buffer | null {
  const options = fields.stream_options
  if (options === undefined || options === null) {
    return withMember(bytes, 'stream_options', '{"include_usage":true}')
  }
  if (typeof options !== 'object' || Array.isArray(options)) return null
  if ('include_usage' in options && options.include_usage === true) return null
  const text = memberOf(bytes, 'stream_options')
  return text === null ? null : withMember(bytes, 'stream_options', withMember(text, 'include_usage', 'true'))
}
