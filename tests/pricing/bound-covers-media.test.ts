import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { boundRequest } from '../../gateway/src/pricing/bound/bound-request.ts'
import { noConsumption } from '../../gateway/src/pricing/consumption.ts'
import { costOf, noPieces, type Pieces } from '../../gateway/src/pricing/cost.ts'
import { builtInPrices } from '../../gateway/src/pricing/load-prices.ts'
import { piecesAsked } from '../../gateway/src/pricing/pieces.ts'
import { parsePriceFile } from '../../gateway/src/pricing/price-file.ts'
import { PriceTable } from '../../gateway/src/pricing/price-table.ts'
import { readOpenai } from '../../gateway/src/providers/openai/reading.ts'
import { bounded, today } from './priced.ts'

/** The built-in prices, and what an operator who knows more adds: the longest audio, the longest speech, a price for a judge elsewhere. */
const table = new PriceTable([
  builtInPrices(),
  parsePriceFile(
    {
      version: 'test',
      models: {
        openai: {
          'minutes-1': {
            source: 'test',
            maxAudioSeconds: 1_500,
            prices: [{ standard: { perMinute: 6_000_000_001 } }],
          },
          'speech-1': {
            source: 'test',
            contextWindow: 2_000,
            maxOutputTokens: 4_096,
            prices: [{ standard: { input: 600_000, audioOutput: 12_000_000 } }],
          },
        },
        'openai-compatible': {
          'judge-1': { source: 'test', contextWindow: 4_096, prices: [{ standard: { input: 100_000 } }] },
        },
      },
    },
    'test.json',
  ),
])

const share = fc.oneof(fc.constantFrom(0, 1, 1), fc.double({ min: 0, max: 1, noNaN: true }))
const prompt = fc.string({ unit: 'grapheme', maxLength: 400 })
/** A provider's own instructions around a prompt. */
const hidden = fc.integer({ min: 0, max: 200 })

interface Ask {
  readonly endpoint: string
  readonly fields: Readonly<Record<string, unknown>>
  readonly provider?: string
  /** The bytes of its text fields, where it is a form. */
  readonly formBytes?: number
}

function boundedNanoUsd({ endpoint, fields, provider = 'openai', formBytes }: Ask): bigint {
  const bytes = formBytes ?? Buffer.byteLength(JSON.stringify(fields))
  const isForm = formBytes !== undefined
  const ask = { provider, method: 'POST', endpoint, fields, bytes, isForm }
  return bounded(boundRequest(ask, { prices: table, at: today, defaultCap: 16_384 })).nanoUsd
}

function costNanoUsd(
  { fields, provider = 'openai' }: Ask,
  answer: unknown,
  pieces: Pieces = noPieces,
): bigint {
  const found = table.find(provider, String(fields.model), today)
  if (found.kind === 'unpriced') throw new Error(`${fields.model} has no price`)
  const prices = { price: found.price, tools: table.toolPrices('openai'), imageModel: null }
  const consumption = readOpenai(answer)?.consumption ?? noConsumption
  return costOf(prices, consumption, pieces).nanoUsd
}

function expectCovered(ask: Ask, answer: unknown, pieces?: Pieces): void {
  const cost = costNanoUsd(ask, answer, pieces)
  const bound = boundedNanoUsd(ask)
  expect(cost <= bound, `${JSON.stringify(ask.fields)}: ${cost} > ${bound}`).toBe(true)
}

describe('no usage that an honest provider can report costs more than the bound of', () => {
  test('a transcription or a translation by tokens: a window of audio, text or both, and the most output', () => {
    const models = ['gpt-4o-transcribe', 'gpt-4o-mini-transcribe', 'gpt-4o-transcribe-diarize']
    const asked = fc.record({
      model: fc.constantFrom(...models),
      endpoint: fc.constantFrom('/v1/audio/transcriptions', '/v1/audio/translations'),
      text: prompt,
    })
    fc.assert(
      fc.property(asked, share, share, share, ({ model, endpoint, text }, input, audio, output) => {
        const ask = { endpoint, fields: { model, prompt: text }, formBytes: Buffer.byteLength(text) + 20 }
        const inputTokens = Math.floor(16_000 * input)
        const audioTokens = Math.floor(inputTokens * audio)
        const usage = {
          type: 'tokens',
          input_tokens: inputTokens,
          input_token_details: { audio_tokens: audioTokens, text_tokens: inputTokens - audioTokens },
          output_tokens: Math.floor(2_000 * output),
        }
        expectCovered(ask, { text: 'heard', usage })
      }),
    )
  })

  test('a transcription by the minute, up to the longest audio', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1_500, noNaN: true }), (seconds) => {
        const ask = { endpoint: '/v1/audio/transcriptions', fields: { model: 'minutes-1' }, formBytes: 9 }
        expectCovered(ask, { text: 'heard', usage: { type: 'duration', seconds } })
      }),
    )
  })

  test('speech by the character, whatever its characters are', () => {
    const spoken = fc.string({ unit: 'binary', maxLength: 400 })
    fc.assert(
      fc.property(fc.constantFrom('tts-1', 'tts-1-hd', 'tts-1-1106'), spoken, (model, input) => {
        const fields = { model, voice: 'alloy', input }
        const found = table.find('openai', model, today)
        if (found.kind === 'unpriced') throw new Error(`${model} has no price`)
        const ask = { endpoint: '/v1/audio/speech', fields }
        expectCovered(ask, null, piecesAsked(found.price, fields) ?? noPieces)
      }),
    )
  })

  test('speech by tokens, up to the longest', () => {
    fc.assert(
      fc.property(prompt, prompt, hidden, share, share, (input, instructions, more, read, said) => {
        const fields = { model: 'speech-1', voice: 'alloy', input, instructions }
        const most = Math.min(2_000, Buffer.byteLength(input) + Buffer.byteLength(instructions) + more)
        const usage = {
          input_tokens: Math.floor(most * read),
          output_tokens: Math.floor(4_096 * said),
        }
        expectCovered({ endpoint: '/v1/audio/speech', fields }, { type: 'speech.audio.done', usage })
      }),
    )
  })

  test('an image edit, with as many images in as it takes and partial ones on the way', () => {
    const mostOut: Readonly<Record<string, number>> = { low: 408, medium: 1_584, high: 6_240, auto: 6_240 }
    const asked = fc.record({
      model: fc.constantFrom('gpt-image-1', 'gpt-image-1-mini'),
      quality: fc.constantFrom(...Object.keys(mostOut)),
      n: fc.integer({ min: 1, max: 10 }),
      partial: fc.integer({ min: 0, max: 3 }),
      text: prompt,
    })
    const told = fc.record({ images: fc.integer({ min: 1, max: 17 }), hidden, share, cached: share })
    fc.assert(
      fc.property(asked, told, ({ model, quality, n, partial, text }, { images, hidden, share, cached }) => {
        // As a form's fields are: texts, all of them.
        const fields = { model, prompt: text, quality, n: String(n), partial_images: String(partial) }
        const image = Math.floor(images * 6_821 * share)
        const read = Math.floor((Buffer.byteLength(text) + hidden) * share)
        const cachedTokens = Math.floor((image + read) * cached)
        const usage = {
          input_tokens: image + read,
          input_tokens_details: { image_tokens: image, text_tokens: read, cached_tokens: cachedTokens },
          output_tokens: Math.floor(n * ((mostOut[quality] ?? 0) + 100 * partial) * share),
        }
        const formBytes = Buffer.byteLength(Object.values(fields).join(''))
        expectCovered({ endpoint: '/v1/images/edits', fields, formBytes }, { created: 1, data: [], usage })
      }),
    )
  })

  test('images by the piece, of every quality and size that is listed', () => {
    const asked = fc.record({
      model: fc.constantFrom('dall-e-2', 'dall-e-3'),
      quality: fc.constantFrom(undefined, 'standard', 'hd'),
      size: fc.constantFrom(undefined, '256x256', '512x512', '1024x1024', '1024x1792', '1792x1024'),
      n: fc.integer({ min: 1, max: 4 }),
    })
    let accepted = 0
    fc.assert(
      fc.property(asked, prompt, ({ model, quality, size, n }, text) => {
        const fields = { model, prompt: text, n, quality, size }
        const endpoint = '/v1/images/generations'
        const ask = { provider: 'openai', method: 'POST', endpoint, fields, bytes: 500 }
        if (boundRequest(ask, { prices: table, at: today, defaultCap: 1 }).kind === 'refused') return
        accepted++
        const found = table.find('openai', model, today)
        if (found.kind === 'unpriced') throw new Error(`${model} has no price`)
        expectCovered(
          { endpoint, fields },
          { created: 1, data: [] },
          piecesAsked(found.price, fields) ?? noPieces,
        )
      }),
    )
    expect(accepted).toBeGreaterThan(20)
  })

  test('a moderation, which is free at OpenAI and has a price elsewhere', () => {
    fc.assert(
      fc.property(fc.array(prompt, { minLength: 1, maxLength: 5 }), share, (input, read) => {
        const endpoint = '/v1/moderations'
        const free = { endpoint, fields: { model: 'omni-moderation-latest', input } }
        expect(boundedNanoUsd(free)).toBe(0n)
        expectCovered(free, { results: [{ flagged: false }] })
        const most = input.reduce((sum, text) => sum + Buffer.byteLength(text) + 4, 0)
        const usage = { prompt_tokens: Math.floor(Math.min(most, 4_096 * input.length) * read) }
        expectCovered(
          { endpoint, fields: { model: 'judge-1', input }, provider: 'openai-compatible' },
          { usage },
        )
      }),
    )
  })
})
