import type { Piece } from '../answer.ts'
import { slices } from '../tokens.ts'
import {
  completedItems,
  finalResponse,
  finalStatus,
  hasReasoning,
  item,
  itemId,
  type ResponseAnswer,
  reasoningItem,
  startedResponse,
  textPart,
} from './response-object.ts'

/** The typed events of a streamed response: https://platform.openai.com/docs/api-reference/responses-streaming */
export function* responseEvents(answer: ResponseAnswer): Generator<Piece, void, undefined> {
  const events = new Numbered()
  const { generation, stated } = answer
  const started = startedResponse(answer)
  yield events.next('response.created', { response: started })
  yield events.next('response.in_progress', { response: started })
  let index = 0
  if (hasReasoning(answer)) {
    const reasoning = { output_index: index++, item: reasoningItem(answer) }
    yield events.next('response.output_item.added', reasoning)
    yield { ...events.next('response.output_item.done', reasoning), outputTokens: generation.reasoningTokens }
  }
  yield events.next('response.output_item.added', {
    output_index: index,
    item: item(answer, 'in_progress', ''),
  })
  yield* answer.task.kind === 'tool-call'
    ? argumentEvents(answer, events, index)
    : textEvents(answer, events, index)
  const done = item(answer, finalStatus(answer), generation.text)
  yield events.next('response.output_item.done', { output_index: index, item: done })
  const response = finalResponse(answer, completedItems(answer))
  yield { ...events.next(`response.${finalStatus(answer)}`, { response }), reports: stated !== null }
}

function* textEvents(
  answer: ResponseAnswer,
  events: Numbered,
  index: number,
): Generator<Piece, void, undefined> {
  const place = { item_id: itemId(answer), output_index: index, content_index: 0 }
  const { text } = answer.generation
  yield events.next('response.content_part.added', { ...place, part: textPart('') })
  yield* deltas(answer, events, 'response.output_text.delta', { ...place, logprobs: [] })
  yield events.next('response.output_text.done', { ...place, text, logprobs: [] })
  yield events.next('response.content_part.done', { ...place, part: textPart(text) })
}

function* argumentEvents(
  answer: ResponseAnswer,
  events: Numbered,
  index: number,
): Generator<Piece, void, undefined> {
  const place = { item_id: itemId(answer), output_index: index }
  const { task, generation } = answer
  yield* deltas(answer, events, 'response.function_call_arguments.delta', place)
  yield events.next('response.function_call_arguments.done', {
    ...place,
    ...(task.kind === 'tool-call' ? { name: task.tool } : {}),
    arguments: generation.text,
  })
}

// One event a token: their common parts are made into text once.
function* deltas(
  { call, generation }: ResponseAnswer,
  events: Numbered,
  type: string,
  place: object,
): Generator<Piece, void, undefined> {
  const head = `event: ${type}\ndata: {"type":"${type}",${JSON.stringify(place).slice(1, -1)},"sequence_number":`
  for (const slice of slices(generation.text, call.directions.chunkTokens))
    yield {
      data: `${head}${events.number()},"delta":${JSON.stringify(slice.text)}}\n\n`,
      outputTokens: slice.tokens,
      reports: false,
    }
}

/** Events of one stream, numbered from 0. */
class Numbered {
  #next = 0

  number(): number {
    return this.#next++
  }

  next(type: string, fields: object): Piece {
    const data = JSON.stringify({ type, sequence_number: this.number(), ...fields })
    return { data: `event: ${type}\ndata: ${data}\n\n`, outputTokens: 0, reports: false }
  }
}
