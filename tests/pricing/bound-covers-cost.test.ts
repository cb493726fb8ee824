import { type NanoUsd, nanoUsd } from '@latchkey/shared'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Bounded, largestCapWithin, withCap } from '../../gateway/src/pricing/bound/bound.ts'
import { boundOf, costOfAnswer, priceOf } from './priced.ts'

/** Models of every kind of price: with and without caches, tiers, long contexts, images and audio. */
const models = [
  ...['gpt-6.2-sol', 'gpt-6-astra', 'gpt-5.6-terra', 'gpt-5.5', 'gpt-5.4', 'gpt-5', 'gpt-5-nano', 'gpt-4o'],
  ...[
    'gpt-4o-mini',
    'gpt-4.1-nano',
    'gpt-4',
    'gpt-3.5-turbo',
    'o3',
    'o4-mini',
    'gpt-audio',
    'gpt-4o-mini-audio-preview',
  ],
  ...['ft:gpt-4.1-mini-2025-04-14:acme::x', 'chat-latest'],
]

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ unit: 'grapheme', maxLength: 2000 }),
  // What reaches the dearer rates of a long context.
  fc.constantFrom('x'.repeat(120_000), '字'.repeat(130_000), '\u0001'.repeat(300_000)),
)
const dataUrl = fc.integer({ min: 0, max: 5000 }).map((size) => `data:image/png;base64,${'A'.repeat(size)}`)

/** A part of a message, and how many tokens an honest provider may count it as. `window`: it may fill that. */
interface Part {
  readonly chat: object
  readonly item: object
  readonly textBytes: number
  readonly images: number
  readonly fills: boolean
  readonly audio: boolean
}

const part: fc.Arbitrary<Part> = fc.oneof(
  { weight: 6, arbitrary: text.map((value) => textPart(value)) },
  {
    weight: 2,
    arbitrary: fc.oneof(dataUrl, fc.webUrl()).map((url) => ({
      chat: { type: 'image_url', image_url: { url, detail: 'high' } },
      item: { type: 'input_image', image_url: url },
      textBytes: 0,
      images: 1,
      fills: false,
      audio: false,
    })),
  },
  {
    weight: 1,
    arbitrary: fc.constant({
      chat: { type: 'file', file: { file_id: 'file-1' } },
      item: { type: 'input_file', file_id: 'file-1' },
      textBytes: 0,
      images: 0,
      fills: true,
      audio: false,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.constant({
      chat: { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } },
      item: { type: 'input_audio', data: 'AAAA' },
      textBytes: 0,
      images: 0,
      fills: true,
      audio: true,
    }),
  },
)

function textPart(value: string): Part {
  const textBytes = Buffer.byteLength(value)
  return {
    chat: { type: 'text', text: value },
    item: { type: 'input_text', text: value },
    textBytes,
    images: 0,
    fills: false,
    audio: false,
  }
}

/** How a provider that honours the request splits its counts: shares from 0 to 1, all of it as likely as some. */
const share = fc.oneof(fc.constantFrom(0, 1, 1), fc.double({ min: 0, max: 1, noNaN: true }))
const answer = fc.record({
  input: share,
  output: share,
  cached: share,
  written: share,
  writtenLong: share,
  audio: share,
  audioOut: share,
  hidden: fc.integer({ min: 0, max: 200 }),
  downgraded: fc.boolean(),
})

const asked = fc.record({
  model: fc.constantFrom(...models),
  endpoint: fc.constantFrom('chat', 'responses'),
  messages: fc.array(fc.array(part, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 }),
  cap: fc.option(fc.integer({ min: 16, max: 50_000 }), { nil: undefined }),
  n: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
  tier: fc.constantFrom(undefined, null, 'auto', 'default', 'flex', 'priority'),
  speaks: fc.boolean(),
  stored: fc.boolean(),
  keptLong: fc.boolean(),
})
type Asked = typeof asked extends fc.Arbitrary<infer Value> ? Value : never
type Answer = typeof answer extends fc.Arbitrary<infer Value> ? Value : never

function requestOf(ask: Asked): Record<string, unknown> {
  const shared = {
    model: ask.model,
    service_tier: ask.tier,
    ...(ask.keptLong ? { prompt_cache_options: { ttl: '12h' } } : {}),
  }
  if (ask.endpoint === 'responses') {
    return {
      ...shared,
      input: ask.messages.map((parts) => ({ role: 'user', content: parts.map(({ item }) => item) })),
      max_output_tokens: ask.cap,
      ...(ask.stored ? { previous_response_id: 'resp_1' } : {}),
    }
  }
  return {
    ...shared,
    messages: ask.messages.map((parts) => ({ role: 'user', content: parts.map(({ chat }) => chat) })),
    max_completion_tokens: ask.cap,
    n: ask.n,
    ...(ask.speaks ? { modalities: ['text', 'audio'] } : {}),
  }
}

/**
 * An answer whose usage is the most, or less, that an honest provider can report: a token a byte of text
 * and four a message, the documented most for an image, anything up to its window for what is stored there,
 * and output up to the cap, for each choice.
 */
function answerOf(ask: Asked, bound: Bounded, told: Answer): unknown {
  const { limits } = priceOf(ask.model)
  const parts = ask.messages.flat()
  const window = Number(limits.contextWindow ?? 10n ** 9n)
  const textBytes =
    parts.reduce((sum, { textBytes }) => sum + textBytes, 0) + 4 * ask.messages.length + told.hidden
  const images = parts.reduce((sum, { images }) => sum + images, 0)
  const fills = parts.some((one) => one.fills) || (ask.stored && ask.endpoint === 'responses')
  const imageMost = images * Number(limits.imageTokens ?? 0n)
  const most =
    fills || (images > 0 && limits.imageTokens === null) ? window : Math.min(textBytes, window) + imageMost
  const input = Math.floor(most * told.input)
  const cap = Number(bound.cap?.tokens ?? 0n)
  const output = Math.floor(cap * (ask.endpoint === 'chat' ? (ask.n ?? 1) : 1) * told.output)
  const written = Math.floor(input * told.written)
  const usage = {
    input_tokens: input,
    output_tokens: output,
    input_tokens_details: {
      audio_tokens: parts.some((one) => one.audio) ? Math.floor(input * told.audio) : 0,
      cached_tokens: Math.floor(input * told.cached),
      cache_write_tokens: written,
      cache_write_tokens_details: {
        ttl_12h_tokens: ask.keptLong ? Math.floor(written * told.writtenLong) : 0,
      },
    },
    output_tokens_details: {
      audio_tokens: ask.speaks && ask.endpoint === 'chat' ? Math.floor(output * told.audioOut) : 0,
    },
  }
  const tier = ask.tier === 'flex' || ask.tier === 'priority' ? ask.tier : 'default'
  return { service_tier: told.downgraded ? 'default' : tier, usage }
}

const endpoints: Readonly<Record<string, string>> = {
  chat: '/v1/chat/completions',
  responses: '/v1/responses',
}

test('no usage that an honest provider can report costs more than the bound', () => {
  let accepted = 0
  fc.assert(
    fc.property(asked, answer, (ask, told) => {
      const bound = boundOf(endpoints[ask.endpoint] ?? '', requestOf(ask))
      if (bound.kind === 'refused') return
      accepted++
      const cost = costOfAnswer(ask.model, answerOf(ask, bound, told))
      expect(cost.nanoUsd <= bound.nanoUsd, `${cost.nanoUsd} > ${bound.nanoUsd}`).toBe(true)
    }),
    { numRuns: 1000 },
  )
  expect(accepted).toBeGreaterThan(250)
})

test('the largest cap within an amount is paid by it, and the next one is not', () => {
  fc.assert(
    fc.property(asked, fc.bigInt(0n, 10n ** 10n), (ask, amount) => {
      const bound = boundOf(endpoints[ask.endpoint] ?? '', requestOf(ask))
      if (bound.kind === 'refused' || bound.cap === null) return
      const budget: NanoUsd = nanoUsd(amount)
      const cap = largestCapWithin(bound, budget)
      if (cap === null) {
        expect(withCap(bound, bound.cap.least).nanoUsd > budget || bound.cap.tokens < bound.cap.least).toBe(
          true,
        )
      } else {
        expect(withCap(bound, cap).nanoUsd <= budget).toBe(true)
        if (cap < bound.cap.tokens) expect(withCap(bound, cap + 1n).nanoUsd > budget).toBe(true)
      }
    }),
  )
})

test('embeddings, completions and images keep within their bounds, too', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'grapheme', maxLength: 50 }), { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 200 }),
      share,
      (texts, n, cap, used) => {
        const input = Math.floor(texts.reduce((sum, value) => sum + Buffer.byteLength(value) + 4, 0) * used)
        const check = (endpoint: string, fields: Record<string, unknown>, output: number, image = false) => {
          const bound = boundOf(endpoint, fields)
          if (bound.kind === 'refused') throw new Error(`${endpoint} was refused: ${bound.param}`)
          const usage = { input_tokens: input, output_tokens: Math.floor(output * used) }
          const cost = costOfAnswer(String(fields.model), image ? { created: 1, data: [], usage } : { usage })
          expect(cost.nanoUsd <= bound.nanoUsd).toBe(true)
        }
        check('/v1/embeddings', { model: 'text-embedding-3-large', input: texts }, 0)
        const completion = { model: 'gpt-3.5-turbo-instruct', prompt: texts, best_of: n, max_tokens: cap }
        check('/v1/completions', completion, texts.length * n * cap)
        const image = {
          model: 'gpt-image-1-mini',
          prompt: texts.join(' '),
          n,
          quality: 'medium',
          partial_images: 2,
        }
        check('/v1/images/generations', image, n * (1584 + 200), true)
      },
    ),
  )
})
