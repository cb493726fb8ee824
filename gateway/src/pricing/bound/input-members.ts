/**
 * The members of messages, input items and their parts that are known to be read as they stand. Compatible APIs
 * have more, and some read names in any case: an object with a member that is not here may mean anything.
 * Sources: https://platform.openai.com/docs/api-reference/chat/create and …/responses/create; reasoning and cache
 * marks are those of DeepSeek, OpenRouter and Anthropic.
 */
export const messageMembers: ReadonlySet<string> = new Set([
  ...['role', 'content', 'name', 'refusal', 'annotations', 'audio', 'tool_calls', 'tool_call_id'],
  ...['function_call', 'reasoning_content', 'reasoning', 'prefix'],
])

/** A kind of input item of the Responses API. */
export interface ItemKind {
  readonly members: ReadonlySet<string>
  /** What stands in every item of the kind that is no mere reference to a stored one. */
  readonly spelledOut: readonly string[]
  /** The member that holds text or parts; null: none does. */
  readonly content: 'content' | 'output' | null
}

const ofCalls = ['id', 'call_id', 'name', 'status', 'async', 'caller', 'namespace'] as const

/** By the `type` of an item. */
export const itemKinds: ReadonlyMap<unknown, ItemKind> = new Map([
  ['message', itemKind(['id', 'role', 'content', 'status', 'phase'], ['role', 'content'], 'content')],
  ['function_call', itemKind([...ofCalls, 'arguments'], ['name', 'arguments'])],
  ['custom_tool_call', itemKind([...ofCalls, 'input'], ['name', 'input'])],
  ['function_call_output', itemKind([...ofCalls, 'output'], ['output'], 'output')],
  ['custom_tool_call_output', itemKind([...ofCalls, 'output'], ['output'], 'output')],
  ['reasoning', itemKind(['id', 'summary', 'content', 'encrypted_content', 'status'], ['encrypted_content'])],
])

/** A kind of part of a message. */
export interface PartKind {
  readonly is: 'text' | 'image' | 'audio'
  readonly members: ReadonlySet<string>
}

/** By the `type` of a part. */
export const partKinds: ReadonlyMap<unknown, PartKind> = new Map([
  ['text', partKind('text', 'text')],
  ['input_text', partKind('text', 'text')],
  ['output_text', partKind('text', 'text', 'annotations', 'logprobs')],
  ['refusal', partKind('text', 'refusal')],
  ['image_url', partKind('image', 'image_url', 'detail')],
  ['input_image', partKind('image', 'image_url', 'file_id', 'detail')],
  ['input_audio', partKind('audio', 'input_audio', 'data', 'format')],
])

function itemKind(
  members: readonly string[],
  spelledOut: readonly string[],
  content: ItemKind['content'] = null,
): ItemKind {
  return { members: new Set(['type', ...members]), spelledOut, content }
}

function partKind(is: PartKind['is'], ...members: readonly string[]): PartKind {
  return { is, members: new Set(['type', 'prompt_cache_breakpoint', 'cache_control', ...members]) }
}
