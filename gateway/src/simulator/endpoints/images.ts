import { type Answer, eventsAnswer, jsonAnswer } from '../answer.ts'
import type { Call, Endpoint } from '../endpoint.ts'
import { badField, flag, optionalText, optionalWhole, requiredText } from '../fields.ts'
import { imageUsage, report } from '../metering.ts'
import { countTokens } from '../tokens.ts'
import { usageOf } from '../usage.ts'

/** https://platform.openai.com/docs/api-reference/images/create */
export const imageGenerations: Endpoint = {
  method: 'POST',
  path: '/images/generations',
  takes: 'json',
  answer: (call, body) =>
    draw(call, {
      event: 'image_generation.completed',
      model: optionalText(body, 'model') ?? defaultModel,
      prompt: requiredText(body, 'prompt'),
      n: optionalWhole(body, 'n', 1, 10) ?? 1,
      quality: optionalText(body, 'quality'),
      stream: flag(body, 'stream'),
      images: 0,
    }),
}

/** https://platform.openai.com/docs/api-reference/images/createEdit */
export const imageEdits: Endpoint = {
  method: 'POST',
  path: '/images/edits',
  takes: 'form',
  answer: (call, { fields, files }) => {
    if (files.length === 0) throw badField('image', 'is required')
    const n = fields.get('n') ?? '1'
    if (!/^(?:[1-9]|10)$/.test(n)) throw badField('n', 'must be a whole number from 1 to 10')
    return draw(call, {
      event: 'image_edit.completed',
      model: fields.get('model') ?? defaultModel,
      prompt: requiredText({ prompt: fields.get('prompt') }, 'prompt'),
      n: Number(n),
      quality: fields.get('quality') ?? null,
      stream: fields.get('stream') === 'true',
      images: files.length,
    })
  },
}

interface ImageAsk {
  /** The type of the event that ends a stream. */
  readonly event: string
  readonly model: string
  readonly prompt: string
  readonly n: number
  readonly quality: string | null
  readonly stream: boolean
  /** How many images are to be edited. */
  readonly images: number
}

const defaultModel = 'gpt-image-1'

// One transparent pixel.
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=='

const inputImageTokens = 194
// A square image of each quality, from OpenAI's guide to image generation.
const outputTokensByQuality = new Map([
  ['low', 272],
  ['medium', 1056],
  ['high', 4160],
])

function draw(call: Call, ask: ImageAsk): Answer {
  const quality = ask.quality !== null && outputTokensByQuality.has(ask.quality) ? ask.quality : 'medium'
  const imageInputTokens = ask.images * inputImageTokens
  const inputTokens = countTokens(ask.prompt) + imageInputTokens
  const outputTokens = ask.n * (outputTokensByQuality.get(quality) ?? 0)
  // DALL·E is billed by the image, and states no usage.
  const byToken = /^(?:gpt-image|chatgpt-image)/.test(ask.model)
  const { billed, stated } = report(call.directions, usageOf(byToken ? { inputTokens, outputTokens } : {}))
  const states = byToken && stated !== null
  const about = {
    background: 'opaque',
    output_format: 'png',
    quality,
    size: '1024x1024',
    ...(states ? { usage: imageUsage(stated, imageInputTokens) } : {}),
  }
  if (!ask.stream) {
    const data = Array.from({ length: ask.n }, () => ({ b64_json: png }))
    return jsonAnswer({ created: call.createdAt, data, ...about }, billed, states)
  }
  const done = JSON.stringify({ type: ask.event, b64_json: png, created_at: call.createdAt, ...about })
  const data = `event: ${ask.event}\ndata: ${done}\n\n`
  return eventsAnswer([{ data, outputTokens: billed.outputTokens, reports: states }], billed)
}
