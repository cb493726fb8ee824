import { eventsAnswer, jsonAnswer } from '../answer.ts'
import type { Endpoint } from '../endpoint.ts'
import {
  badField,
  flag,
  isObject,
  type JsonObject,
  optionalObject,
  optionalWhole,
  requiredText,
} from '../fields.ts'
import { forcedTool, generate, jsonTask, type Task, toolCallTask } from '../generation.ts'
import { meter } from '../metering.ts'
import { mostTokens } from '../options.ts'
import { countPrompt, definitionText } from '../prompt.ts'
import { responseEvents } from './response-events.ts'
import { completedItems, finalResponse } from './response-object.ts'

/** https://platform.openai.com/docs/api-reference/responses */
export const responses: Endpoint = {
  method: 'POST',
  path: '/responses',
  takes: 'json',
  answer: (call, body) => {
    const task = taskOf(body)
    const reasoning = optionalObject(body, 'reasoning')
    const model = requiredText(body, 'model')
    const cap = optionalWhole(body, 'max_output_tokens', 1, mostTokens)
    const reasons = reasoning?.effort !== 'none' && reasoning?.effort !== 'minimal'
    const stream = flag(body, 'stream')
    const generation = generate(call, { model, task, cap, reasons }, 0)
    const metered = meter(call.directions, countPrompt(inputOf(body)), [generation])
    const answer = { call, request: { body, model, cap }, task, generation, stated: metered.stated }
    if (stream) return eventsAnswer(responseEvents(answer), metered.billed)
    const response = finalResponse(answer, completedItems(answer))
    return jsonAnswer(response, metered.billed, metered.stated !== null)
  },
}

function inputOf(body: JsonObject): readonly unknown[] {
  const { input, instructions, tools, text } = body
  if (input === undefined && body.prompt === undefined) throw badField('input', 'is required')
  if (input !== undefined && typeof input !== 'string' && !Array.isArray(input))
    throw badField('input', 'must be a string or a list')
  return [input, instructions, definitionText(tools, isObject(text) ? text.format : null)]
}

function taskOf(body: JsonObject): Task {
  const tool = forcedTool(body, (one) => (one.type === 'function' ? one.name : undefined))
  if (tool !== null) return toolCallTask(String(tool.name), tool.parameters)
  const format = optionalObject(body, 'text')?.format
  if (!isObject(format) || format.type === 'text') return { kind: 'prose' }
  if (format.type === 'json_object') return jsonTask()
  if (!isObject(format.schema)) throw badField('text.format', "of type json_schema needs 'schema'")
  return jsonTask(format.schema)
}
