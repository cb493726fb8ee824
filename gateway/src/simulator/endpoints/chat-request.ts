import {
  badField,
  flag,
  isObject,
  type JsonObject,
  optionalList,
  optionalObject,
  optionalWhole,
  requiredText,
} from '../fields.ts'
import { forcedTool, type GenerationAsk, jsonTask, type Task, toolCallTask } from '../generation.ts'
import { mostTokens } from '../options.ts'
import { countPrompt, definitionText, type PromptTokens } from '../prompt.ts'

/** What of a chat-completion request decides its answer. */
export interface ChatRequest extends GenerationAsk {
  readonly prompt: PromptTokens
  /** How many choices. */
  readonly n: number
  readonly stream: boolean
  /** Whether the stream is to end with its usage. */
  readonly includeUsage: boolean
}

/** Throws `invalid_request`, naming the field. */
export function parseChatRequest(body: JsonObject): ChatRequest {
  const messages = optionalList(body, 'messages')
  if (messages.length === 0) throw badField('messages', 'needs at least one message')
  const stream = flag(body, 'stream')
  const effort = body.reasoning_effort
  return {
    model: requiredText(body, 'model'),
    prompt: countPrompt(messages, definitionText(body.tools, body.functions, body.response_format)),
    task: taskOf(body),
    cap:
      optionalWhole(body, 'max_completion_tokens', 1, mostTokens) ??
      optionalWhole(body, 'max_tokens', 1, mostTokens),
    reasons: effort !== 'none' && effort !== 'minimal',
    n: optionalWhole(body, 'n', 1, 128) ?? 1,
    stream,
    includeUsage: parseIncludeUsage(body, stream),
  }
}

/** Reads `stream_options.include_usage`. Like OpenAI, refuses stream options without a stream. */
export function parseIncludeUsage(body: JsonObject, stream: boolean): boolean {
  const options = optionalObject(body, 'stream_options')
  if (options === null) return false
  if (!stream) throw badField('stream_options', "is only allowed when 'stream' is enabled")
  return flag(options, 'include_usage')
}

function taskOf(body: JsonObject): Task {
  const tool = forcedTool(body, (one) => (isObject(one.function) ? one.function.name : undefined))
  if (tool !== null && isObject(tool.function))
    return toolCallTask(String(tool.function.name), tool.function.parameters)
  const format = optionalObject(body, 'response_format')
  if (format?.type === 'json_object') return jsonTask()
  if (format?.type !== 'json_schema') return { kind: 'prose' }
  if (!isObject(format.json_schema) || !isObject(format.json_schema.schema))
    throw badField('response_format', "of type json_schema needs 'json_schema.schema'")
  return jsonTask(format.json_schema.schema)
}
