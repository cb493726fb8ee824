import type { TokenCounts } from '../../pricing/consumption.ts'
import { tokenCounts } from './token-counts.ts'
import { type Fields, fields, usageObject } from './usage-object.ts'

/** The price of a container by its memory. Source: https://developers.openai.com/api/docs/pricing */
const containerPrices: Readonly<Record<string, string>> = {
  '1g': 'code_interpreter',
  '4g': 'code_interpreter_4g',
  '16g': 'code_interpreter_16g',
  '64g': 'code_interpreter_64g',
}

/**
 * The calls of hosted tools in an answer of the Responses API, by the name of their price: searches of the
 * web and of files, and containers for code. Each container counts once, however often it was used.
 * Source: https://platform.openai.com/docs/api-reference/responses/object
 */
export function hostedToolCalls(answer: Fields): ReadonlyMap<string, number> {
  if (!Array.isArray(answer.output)) return noCalls
  const calls = new Map<string, number>()
  const add = (price: string, times: number) => {
    if (times > 0) calls.set(price, (calls.get(price) ?? 0) + times)
  }
  const items = answer.output.map(fields)
  add(webSearchPrice(answer), webSearches(answer, items))
  add('file_search', items.filter((item) => item?.type === 'file_search_call').length)
  add(containerPrice(answer), new Set(items.flatMap(containerOf)).size)
  const images = items.filter((item) => item?.type === 'image_generation_call').length
  // Their cost is in their tokens, where those are told.
  if (imageToolTokens(answer) === null) add('image_generation', images)
  return calls
}

const noCalls: ReadonlyMap<string, number> = new Map()

/** The tokens that the image tool used; null where the answer tells none. */
export function imageToolTokens(answer: Fields): TokenCounts | null {
  const usage = fields(fields(answer.tool_usage)?.image_gen)
  if (usage === null) return null
  const cached = fields(usage.cached_tokens_details)
  const details = fields(usage.input_tokens_details)
  const tokens = tokenCounts(
    {
      ...usageObject(usage),
      inputDetails: {
        ...details,
        cached_tokens: usage.cached_tokens,
        cached_tokens_details: { image_tokens: cached?.cached_image_tokens },
      },
    },
    true,
  )
  return usage.input_tokens === 0 && usage.output_tokens === 0 ? null : tokens
}

/** Only searching is billed: opening a page, or finding something in it, is not. */
function webSearches(answer: Fields, items: readonly (Fields | null)[]): number {
  const told = fields(fields(answer.tool_usage)?.web_search)?.num_requests
  if (typeof told === 'number' && Number.isSafeInteger(told) && told >= 0) return told
  return items.filter((item) => {
    if (item?.type !== 'web_search_call') return false
    const action = fields(item.action)?.type
    return action === undefined || action === 'search'
  }).length
}

/** The preview of the tool costs more with a model that does not reason; which one ran, the answer's echo shows. */
function webSearchPrice(answer: Fields): string {
  const preview = toolsOf(answer).some((tool) => String(tool.type).startsWith('web_search_preview'))
  const effort = fields(answer.reasoning)?.effort
  return preview && (effort === undefined || effort === null) ? 'web_search_preview' : 'web_search'
}

function containerPrice(answer: Fields): string {
  const tool = toolsOf(answer).find(({ type }) => type === 'code_interpreter')
  const memory = fields(tool?.container)?.memory_limit
  return containerPrices[typeof memory === 'string' ? memory : '1g'] ?? 'code_interpreter_64g'
}

function containerOf(item: Fields | null): readonly unknown[] {
  return item?.type === 'code_interpreter_call' ? [item.container_id] : []
}

function toolsOf(answer: Fields): readonly Fields[] {
  return Array.isArray(answer.tools) ? answer.tools.map(fields).filter((tool) => tool !== null) : []
}
