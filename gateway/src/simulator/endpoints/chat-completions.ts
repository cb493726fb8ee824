import { type Answer, eventsAnswer, jsonAnswer, type Piece } from '../answer.ts'
import type { Call, Endpoint } from '../endpoint.ts'
import { type Generation, generate } from '../generation.ts'
import { completionUsage, type Metered, meter } from '../metering.ts'
import { slices } from '../tokens.ts'
import { type ChatRequest, parseChatRequest } from './chat-request.ts'

/** https://platform.openai.com/docs/api-reference/chat */
export const chatCompletions: Endpoint = {
  method: 'POST',
  path: '/chat/completions',
  takes: 'json',
  answer: (call, body) => {
    const request = parseChatRequest(body)
    const choices = Array.from({ length: request.n }, (_, choice) => generate(call, request, choice))
    const metered = meter(call.directions, request.prompt, choices)
    return request.stream
      ? eventsAnswer(chatEvents(call, request, choices, metered), metered.billed)
      : chatObject(call, request, choices, metered)
  },
}

const fingerprint = 'fp_simulator'

function chatObject(
  call: Call,
  request: ChatRequest,
  choices: readonly Generation[],
  { billed, stated }: Metered,
): Answer {
  const value = {
    id: `chatcmpl-${call.id}`,
    object: 'chat.completion',
    created: call.createdAt,
    model: request.model,
    choices: choices.map((choice, index) => ({
      index,
      message: messageOf(call, request, choice, index),
      logprobs: null,
      finish_reason: finishReason(request, choice),
    })),
    ...(stated === null ? {} : { usage: completionUsage(stated) }),
    service_tier: 'default',
    system_fingerprint: fingerprint,
  }
  return jsonAnswer(value, billed, stated !== null)
}

function messageOf(call: Call, { task }: ChatRequest, choice: Generation, index: number): object {
  const message = { role: 'assistant', content: choice.text, refusal: null, annotations: [] }
  if (task.kind !== 'tool-call') return message
  const called = { name: task.tool, arguments: choice.text }
  return {
    ...message,
    content: null,
    tool_calls: [{ id: toolCallId(call, index), type: 'function', function: called }],
  }
}

/**
 * The events of a stream. Every choice begins with its role, its parts take turns with those of the
 * others, and it ends with its reason. With `include_usage`, every chunk says `"usage":null` but the
 * last, which has no choices; without, no chunk mentions usage.
 */
function* chatEvents(
  call: Call,
  request: ChatRequest,
  choices: readonly Generation[],
  { stated }: Metered,
): Generator<Piece, void, undefined> {
  const saysUsage = request.includeUsage && stated !== null
  const head = `data: {"id":"chatcmpl-${call.id}","object":"chat.completion.chunk","created":${call.createdAt},"model":${JSON.stringify(request.model)},"service_tier":"default","system_fingerprint":"${fingerprint}","choices":[`
  const tail = saysUsage ? '],"usage":null}\n\n' : ']}\n\n'
  const chunk = (choice: string, outputTokens: number): Piece => ({
    data: `${head}${choice}${tail}`,
    outputTokens,
    reports: false,
  })
  for (const [index, choice] of choices.entries())
    yield chunk(firstChoice(call, request, index), choice.reasoningTokens)
  yield* turns(choices.map((choice, index) => parts(call, request, choice, index, chunk)))
  for (const [index, choice] of choices.entries()) {
    const reason = JSON.stringify(finishReason(request, choice))
    yield chunk(`{"index":${index},"delta":{},"logprobs":null,"finish_reason":${reason}}`, 0)
  }
  if (saysUsage)
    yield {
      data: `${head}],"usage":${JSON.stringify(completionUsage(stated))}}\n\n`,
      outputTokens: 0,
      reports: true,
    }
  yield { data: 'data: [DONE]\n\n', outputTokens: 0, reports: false }
}

function* parts(
  call: Call,
  request: ChatRequest,
  choice: Generation,
  index: number,
  chunk: (choice: string, outputTokens: number) => Piece,
): Generator<Piece, void, undefined> {
  const [before, after] =
    request.task.kind === 'tool-call'
      ? ['{"tool_calls":[{"index":0,"function":{"arguments":', '}}]}']
      : ['{"content":', '}']
  const head = `{"index":${index},"delta":${before}`
  const tail = `${after},"logprobs":null,"finish_reason":null}`
  for (const slice of slices(choice.text, call.directions.chunkTokens))
    yield chunk(`${head}${JSON.stringify(slice.text)}${tail}`, slice.tokens)
}

function firstChoice(call: Call, { task }: ChatRequest, index: number): string {
  const delta =
    task.kind === 'tool-call'
      ? {
          role: 'assistant',
          content: null,
          tool_calls: [
            {
              index: 0,
              id: toolCallId(call, index),
              type: 'function',
              function: { name: task.tool, arguments: '' },
            },
          ],
          refusal: null,
        }
      : { role: 'assistant', content: '', refusal: null }
  return JSON.stringify({ index, delta, logprobs: null, finish_reason: null })
}

/** One piece of each generator in turn, until all are done. */
function* turns(generators: readonly Generator<Piece, void, undefined>[]): Generator<Piece, void, undefined> {
  let open = generators
  while (open.length > 0) {
    const still: Generator<Piece, void, undefined>[] = []
    for (const generator of open) {
      const next = generator.next()
      if (next.done) continue
      yield next.value
      still.push(generator)
    }
    open = still
  }
}

function toolCallId(call: Call, index: number): string {
  return `call_${call.id.slice(0, 20)}${String(index).padStart(4, '0')}`
}

function finishReason(request: ChatRequest, choice: Generation): string {
  if (choice.capped) return 'length'
  return request.task.kind === 'tool-call' ? 'tool_calls' : 'stop'
}
