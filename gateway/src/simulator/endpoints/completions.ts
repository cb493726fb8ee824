import { type Answer, eventsAnswer, jsonAnswer, type Piece } from '../answer.ts'
import type { Call, Endpoint } from '../endpoint.ts'
import { badField, flag, type JsonObject, optionalWhole, requiredText } from '../fields.ts'
import { type Generation, generate } from '../generation.ts'
import { completionUsage, type Metered, meter } from '../metering.ts'
import { mostTokens } from '../options.ts'
import { countPrompt } from '../prompt.ts'
import { slices } from '../tokens.ts'
import { parseIncludeUsage } from './chat-request.ts'

/** The older text completions: https://platform.openai.com/docs/api-reference/completions */
export const completions: Endpoint = {
  method: 'POST',
  path: '/completions',
  takes: 'json',
  answer: (call, body) => {
    const model = requiredText(body, 'model')
    const stream = flag(body, 'stream')
    const includeUsage = parseIncludeUsage(body, stream)
    const cap = optionalWhole(body, 'max_tokens', 1, mostTokens)
    const count = promptsOf(body) * (optionalWhole(body, 'n', 1, 128) ?? 1)
    const choices = Array.from({ length: count }, (_, choice) =>
      generate(call, { model, task: { kind: 'prose' }, cap, reasons: false }, choice),
    )
    const metered = meter(call.directions, countPrompt(body.prompt), choices)
    if (!stream) return completionObject(call, model, choices, metered)
    return eventsAnswer(completionEvents(call, model, choices, metered, includeUsage), metered.billed)
  },
}

// A list of strings or of token lists is several prompts, a list of tokens is one.
function promptsOf({ prompt }: JsonObject): number {
  if (typeof prompt === 'string') return 1
  if (!Array.isArray(prompt) || prompt.length === 0 || prompt.length > 2048)
    throw badField('prompt', 'must be a string or a list of up to 2048')
  return typeof prompt[0] === 'number' ? 1 : prompt.length
}

function completionObject(
  call: Call,
  model: string,
  choices: readonly Generation[],
  { billed, stated }: Metered,
): Answer {
  const value = {
    id: `cmpl-${call.id}`,
    object: 'text_completion',
    created: call.createdAt,
    model,
    choices: choices.map((choice, index) => ({
      text: choice.text,
      index,
      logprobs: null,
      finish_reason: choice.capped ? 'length' : 'stop',
    })),
    ...(stated === null ? {} : { usage: completionUsage(stated) }),
  }
  return jsonAnswer(value, billed, stated !== null)
}

function* completionEvents(
  call: Call,
  model: string,
  choices: readonly Generation[],
  { stated }: Metered,
  includeUsage: boolean,
): Generator<Piece, void, undefined> {
  const saysUsage = includeUsage && stated !== null
  const head = `data: {"id":"cmpl-${call.id}","object":"text_completion","created":${call.createdAt},"model":${JSON.stringify(model)},"choices":[`
  const tail = saysUsage ? '],"usage":null}\n\n' : ']}\n\n'
  for (const [index, choice] of choices.entries()) {
    for (const slice of slices(choice.text, call.directions.chunkTokens))
      yield {
        data: `${head}{"text":${JSON.stringify(slice.text)},"index":${index},"logprobs":null,"finish_reason":null}${tail}`,
        outputTokens: slice.tokens,
        reports: false,
      }
    const reason = choice.capped ? 'length' : 'stop'
    yield {
      data: `${head}{"text":"","index":${index},"logprobs":null,"finish_reason":"${reason}"}${tail}`,
      outputTokens: 0,
      reports: false,
    }
  }
  if (saysUsage)
    yield {
      data: `${head}],"usage":${JSON.stringify(completionUsage(stated))}}\n\n`,
      outputTokens: 0,
      reports: true,
    }
  yield { data: 'data: [DONE]\n\n', outputTokens: 0, reports: false }
}
