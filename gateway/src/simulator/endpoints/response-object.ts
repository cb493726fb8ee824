import type { Call } from '../endpoint.ts'
import type { JsonObject } from '../fields.ts'
import type { Generation, Task } from '../generation.ts'
import { responseUsage } from '../metering.ts'
import type { Usage } from '../usage.ts'

/** Everything that an answer of the Responses API is made of. */
export interface ResponseAnswer {
  readonly call: Call
  readonly request: { readonly body: JsonObject; readonly model: string; readonly cap: number | null }
  readonly task: Task
  readonly generation: Generation
  readonly stated: Usage | null
}

type Status = 'in_progress' | 'completed' | 'incomplete'

/** The response before anything of it is generated. */
export function startedResponse(answer: ResponseAnswer): object {
  return responseObject(answer, 'in_progress', [], null)
}

/** The response with all of its `output`; incomplete where the cap ended it. */
export function finalResponse(answer: ResponseAnswer, output: readonly object[]): object {
  return responseObject(answer, finalStatus(answer), output, answer.stated)
}

export function finalStatus({ generation }: ResponseAnswer): 'completed' | 'incomplete' {
  return generation.capped ? 'incomplete' : 'completed'
}

/** Whether hidden reasoning comes before the answer proper. */
export function hasReasoning({ generation }: ResponseAnswer): boolean {
  return generation.reasoningTokens > 0
}

export function reasoningItem({ call }: ResponseAnswer): object {
  return { id: `rs_${call.id}`, type: 'reasoning', summary: [] }
}

/** The id of the item that holds the text or the call. */
export function itemId({ call, task }: ResponseAnswer): string {
  return `${task.kind === 'tool-call' ? 'fc' : 'msg'}_${call.id}`
}

/** The item as it stands when `text` of it is generated. */
export function item(answer: ResponseAnswer, status: Status, text: string): object {
  const { call, task } = answer
  if (task.kind === 'tool-call')
    return {
      id: itemId(answer),
      type: 'function_call',
      status,
      call_id: `call_${call.id}`,
      name: task.tool,
      arguments: text,
    }
  const content = status === 'in_progress' ? [] : [textPart(text)]
  return { id: itemId(answer), type: 'message', status, role: 'assistant', content }
}

export function textPart(text: string): object {
  return { type: 'output_text', text, annotations: [], logprobs: [] }
}

export function completedItems(answer: ResponseAnswer): object[] {
  const last = item(answer, finalStatus(answer), answer.generation.text)
  return hasReasoning(answer) ? [reasoningItem(answer), last] : [last]
}

function responseObject(
  { call, request }: ResponseAnswer,
  status: Status,
  output: readonly object[],
  usage: Usage | null,
): object {
  const { body } = request
  return {
    id: `resp_${call.id}`,
    object: 'response',
    created_at: call.createdAt,
    status,
    background: false,
    error: null,
    incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    instructions: body.instructions ?? null,
    max_output_tokens: request.cap,
    model: request.model,
    output,
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    reasoning: body.reasoning ?? { effort: null, summary: null },
    service_tier: 'default',
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: body.text ?? { format: { type: 'text' } },
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_p: body.top_p ?? 1,
    truncation: body.truncation ?? 'disabled',
    usage: usage === null ? null : responseUsage(usage),
    user: null,
    metadata: body.metadata ?? {},
  }
}
