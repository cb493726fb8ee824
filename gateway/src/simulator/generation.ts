import type { Call } from './endpoint.ts'
import { badField, isObject, type JsonObject, optionalList } from './fields.ts'
import { instanceOf } from './json-instance.ts'
import { prose } from './prose.ts'
import { countTokens, truncateToTokens } from './tokens.ts'

/** What the model is to write. */
export type Task =
  | { readonly kind: 'prose' }
  | { readonly kind: 'json'; readonly text: string }
  | { readonly kind: 'tool-call'; readonly tool: string; readonly text: string }

/** What the model wrote: one choice of an answer. */
export interface Generation {
  readonly text: string
  /** All tokens, those of hidden reasoning included. */
  readonly outputTokens: number
  readonly reasoningTokens: number
  /** Whether the cap ended it. */
  readonly capped: boolean
}

export interface GenerationAsk {
  readonly model: string
  readonly task: Task
  /** The output cap that the client set. */
  readonly cap: number | null
  /** Whether the request turned reasoning off. */
  readonly reasons: boolean
}

/** Writes one choice; `choice` makes those of one request differ. A reasoning model spends half on reasoning. */
export function generate(call: Call, ask: GenerationAsk, choice: number): Generation {
  const { tokens, faults } = call.directions
  const reasons = ask.reasons && isReasoningModel(ask.model)
  const visibleWanted = ask.task.kind === 'prose' ? null : countTokens(ask.task.text)
  const wanted = visibleWanted === null ? tokens : reasons ? visibleWanted * 2 : visibleWanted
  const outputTokens = ask.cap === null || faults.ignoresCap ? wanted : Math.min(wanted, ask.cap)
  const reasoningTokens = reasons ? Math.floor(outputTokens / 2) : 0
  const visible = outputTokens - reasoningTokens
  return {
    text:
      ask.task.kind === 'prose'
        ? prose(visible, call.variety + choice * 7)
        : truncateToTokens(ask.task.text, visible),
    outputTokens,
    reasoningTokens,
    capped: outputTokens < wanted,
  }
}

/** Models that think before they answer, by the names that OpenAI gives them. */
function isReasoningModel(model: string): boolean {
  return /^(?:o\d|gpt-5(?!-chat))/.test(model)
}

/** A call of the function `tool` with arguments that its schema accepts. */
export function toolCallTask(tool: string, parameters: unknown): Task {
  return {
    kind: 'tool-call',
    tool,
    text: JSON.stringify(instanceOf(isObject(parameters) ? parameters : {}) ?? {}),
  }
}

/** An answer that `schema` accepts; without one, any object. */
export function jsonTask(schema?: unknown): Task {
  return { kind: 'json', text: JSON.stringify(instanceOf(isObject(schema) ? schema : anyObject)) }
}

const anyObject = { type: 'object', properties: { answer: { type: 'string' } } }

/** The tool that `tool_choice` forces the model to call; null where it may answer with text. */
export function forcedTool(body: JsonObject, nameOf: (tool: JsonObject) => unknown): JsonObject | null {
  const choice = body.tool_choice
  if (choice !== 'required' && !isObject(choice)) return null
  const tools = optionalList(body, 'tools').filter(isObject)
  const wanted = isObject(choice) ? nameOf(choice) : undefined
  if (isObject(choice) && typeof wanted !== 'string') return null
  const tool = tools.find(
    (one) => typeof nameOf(one) === 'string' && (wanted === undefined || nameOf(one) === wanted),
  )
  if (tool === undefined) throw badField('tool_choice', 'asks for a tool that is not among the tools')
  return tool
}
