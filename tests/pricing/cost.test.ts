import { describe, expect, test } from 'vitest'
import { noConsumption } from '../../gateway/src/pricing/consumption.ts'
import { costOf } from '../../gateway/src/pricing/cost.ts'
import { readOpenai } from '../../gateway/src/providers/openai/reading.ts'
import { costOfAnswer, priceOf, prices } from './priced.ts'

// A dollar per million tokens is a micro-dollar per token, which is 1000 nano-dollars.
const micro = 1000

describe('a request costs what its usage says, to the nano-dollar', () => {
  test.each<[string, string, unknown, bigint]>([
    [
      'chat, with cached input',
      'gpt-4o',
      {
        usage: { prompt_tokens: 1117, completion_tokens: 46, prompt_tokens_details: { cached_tokens: 1024 } },
      },
      BigInt(93 * 2.5 * micro + 1024 * 1.25 * micro + 46 * 10 * micro),
    ],
    [
      'reasoning, which is output',
      'o3',
      {
        response: {
          usage: { input_tokens: 328, output_tokens: 52, output_tokens_details: { reasoning_tokens: 40 } },
        },
        type: 'response.completed',
      },
      BigInt(328 * 2 * micro + 52 * 8 * micro),
    ],
    [
      'audio in and out of a chat',
      'gpt-audio',
      {
        usage: {
          prompt_tokens: 100,
          completion_tokens: 200,
          prompt_tokens_details: { audio_tokens: 60, cached_tokens: 0 },
          completion_tokens_details: { audio_tokens: 150, text_tokens: 50 },
        },
      },
      BigInt(40 * 2.5 * micro + 60 * 32 * micro + 50 * 10 * micro + 150 * 64 * micro),
    ],
    [
      'the flex tier',
      'gpt-5',
      { service_tier: 'flex', usage: { prompt_tokens: 1000, completion_tokens: 500 } },
      BigInt(1000 * 0.625 * micro + 500 * 5 * micro),
    ],
    [
      'the priority tier',
      'gpt-5',
      { service_tier: 'priority', usage: { prompt_tokens: 1000, completion_tokens: 500 } },
      BigInt(1000 * 2.5 * micro + 500 * 20 * micro),
    ],
    [
      'the standard tier, by name',
      'gpt-5',
      { service_tier: 'default', usage: { prompt_tokens: 1000, completion_tokens: 500 } },
      BigInt(1000 * 1.25 * micro + 500 * 10 * micro),
    ],
    [
      'the last token of a short context',
      'gpt-5.4',
      { usage: { input_tokens: 272_000, output_tokens: 10 } },
      BigInt(272_000 * 2.5 * micro + 10 * 15 * micro),
    ],
    [
      'a long context, in which every token costs more',
      'gpt-5.4',
      { usage: { input_tokens: 272_001, output_tokens: 10 } },
      BigInt(272_001 * 5 * micro + 10 * 22.5 * micro),
    ],
    [
      'a long context in the flex tier',
      'gpt-5.4',
      { service_tier: 'flex', usage: { input_tokens: 300_000, output_tokens: 0 } },
      BigInt(300_000 * 2.5 * micro),
    ],
    [
      'writing to a cache, briefly and for long',
      'gpt-6.1-sol',
      {
        usage: {
          input_tokens: 1000,
          output_tokens: 0,
          input_tokens_details: {
            cached_tokens: 300,
            cache_write_tokens: 500,
            cache_write_tokens_details: { ttl_30m_tokens: 400, ttl_12h_tokens: 100 },
          },
        },
      },
      BigInt(200 * 2 * micro + 300 * 0.1 * micro + 400 * 2.5 * micro + 100 * 5 * micro),
    ],
    [
      'embeddings',
      'text-embedding-3-small',
      { object: 'list', data: [], usage: { prompt_tokens: 8, total_tokens: 8 } },
      160n,
    ],
    [
      'an image by its tokens',
      'gpt-image-1',
      {
        created: 1,
        data: [{}],
        usage: {
          input_tokens: 50,
          output_tokens: 1056,
          input_tokens_details: { text_tokens: 10, image_tokens: 40 },
        },
      },
      BigInt(10 * 5 * micro + 40 * 10 * micro + 1056 * 40 * micro),
    ],
    [
      'an image whose maker thinks in text',
      'gpt-image-1.5',
      {
        created: 1,
        data: [{}],
        usage: {
          input_tokens: 10,
          output_tokens: 1100,
          input_tokens_details: { text_tokens: 10, image_tokens: 0 },
          output_tokens_details: { image_tokens: 1056, text_tokens: 44 },
        },
      },
      BigInt(10 * 5 * micro + 1056 * 32 * micro + 44 * 10 * micro),
    ],
    [
      'a streamed image',
      'gpt-image-1.5',
      {
        type: 'image_generation.completed',
        usage: {
          input_tokens: 10,
          output_tokens: 1056,
          input_tokens_details: { text_tokens: 10, image_tokens: 0 },
        },
      },
      BigInt(10 * 5 * micro + 1056 * 32 * micro),
    ],
    [
      'a transcription by tokens',
      'gpt-4o-transcribe',
      {
        usage: {
          type: 'tokens',
          input_tokens: 14,
          output_tokens: 45,
          input_token_details: { audio_tokens: 14, text_tokens: 0 },
        },
      },
      BigInt(14 * 2.5 * micro + 45 * 10 * micro),
    ],
    ['a transcription by the minute', 'whisper-1', { usage: { type: 'duration', seconds: 61 } }, 6_100_000n],
    // 0.017 dollars / 60 = 283,333.3… nano-dollars
    [
      'a second of a minute that does not divide',
      'gpt-realtime-whisper',
      { usage: { type: 'duration', seconds: 1 } },
      283_334n,
    ],
    ['a fraction of a second', 'whisper-1', { usage: { type: 'duration', seconds: 8.47 } }, 847_000n],
    [
      'speech by tokens',
      'gpt-4o-mini-tts',
      { type: 'speech.audio.done', usage: { input_tokens: 14, output_tokens: 101, total_tokens: 115 } },
      BigInt(14 * 0.6 * micro + 101 * 12 * micro),
    ],
    [
      'realtime, with text, audio and images, cached and not',
      'gpt-realtime',
      {
        type: 'response.done',
        response: {
          usage: {
            input_tokens: 300,
            output_tokens: 148,
            input_token_details: {
              text_tokens: 119,
              audio_tokens: 81,
              image_tokens: 100,
              cached_tokens: 110,
              cached_tokens_details: { text_tokens: 64, audio_tokens: 40, image_tokens: 6 },
            },
            output_token_details: { text_tokens: 30, audio_tokens: 118 },
          },
        },
      },
      BigInt(
        55 * 4000 + 64 * 400 + 41 * 32_000 + 40 * 400 + 94 * 5000 + 6 * 500 + 30 * 16_000 + 118 * 64_000,
      ),
    ],
    [
      'a fine-tuned model',
      'ft:gpt-4o-mini-2024-07-18:acme::Ab12',
      { usage: { prompt_tokens: 1000, completion_tokens: 100 } },
      BigInt(1000 * 0.3 * micro + 100 * 1.2 * micro),
    ],
    ['moderation', 'omni-moderation-latest', { usage: { prompt_tokens: 1000, completion_tokens: 0 } }, 0n],
  ])('%s', (_, model, answer, nanoUsd) => {
    expect(costOfAnswer(model, answer)).toEqual({ nanoUsd, unpriced: [] })
  })

  // DeepSeek's peak price of a cached token is 6 nano-dollars at peak; of the older flash model it was 2.8.
  test.each([
    [1, 3n],
    [2, 6n],
    [5, 14n],
  ])('%i tokens of 2.8 nano-dollars are rounded up once, at the end', (cached, nanoUsd) => {
    const usage = {
      prompt_tokens: cached,
      completion_tokens: 0,
      prompt_tokens_details: { cached_tokens: cached },
    }
    const at = Date.parse('2026-07-24T00:00:00Z')
    expect(costOfAnswer('deepseek-v4-flash', { usage }, { provider: 'deepseek', at }).nanoUsd).toBe(nanoUsd)
  })
})

describe('what is billed by the piece', () => {
  const used = { price: priceOf('dall-e-3'), tools: prices.toolPrices('openai'), imageModel: null }

  test('images cost by their quality and size', () => {
    const images = { count: 2, quality: 'hd', size: '1024x1792' }
    expect(costOf(used, noConsumption, { images, characters: 0 })).toEqual({
      nanoUsd: 240_000_000n,
      unpriced: [],
    })
  })

  test('an image of an unlisted size costs what the dearest does, and the cost is an estimate', () => {
    const images = { count: 1, quality: 'hd', size: '4096x4096' }
    expect(costOf(used, noConsumption, { images, characters: 0 })).toEqual({
      nanoUsd: 120_000_000n,
      unpriced: ['image'],
    })
  })

  test('an image whose size the model chose costs what the dearest of its quality does, and is an estimate', () => {
    const images = { count: 1, quality: 'standard', size: 'auto' }
    expect(costOf(used, noConsumption, { images, characters: 0 })).toEqual({
      nanoUsd: 80_000_000n,
      unpriced: ['image'],
    })
  })

  test('an image of a model of one quality costs by its size alone', () => {
    const images = { count: 1, quality: 'auto', size: '256x256' }
    const small = costOf({ ...used, price: priceOf('dall-e-2') }, noConsumption, { images, characters: 0 })
    expect(small).toEqual({ nanoUsd: 16_000_000n, unpriced: [] })
  })

  test('speech costs by the character', () => {
    const characters = [...'Hello, wörld 👋'].length
    expect(characters).toBe(14)
    const cost = costOf({ ...used, price: priceOf('tts-1') }, noConsumption, { images: null, characters })
    expect(cost).toEqual({ nanoUsd: 14n * 15_000n, unpriced: [] })
  })

  test('a search model charges for its search with every request', () => {
    const usage = { prompt_tokens: 100, completion_tokens: 100 }
    expect(costOfAnswer('gpt-5-search-api', { usage }).nanoUsd).toBe(
      BigInt(100 * 1250 + 100 * 10_000) + 10_000_000n,
    )
  })
})

describe('hosted tools cost what the answer says that was called', () => {
  const usage = { input_tokens: 1000, output_tokens: 100 }
  const tokens = BigInt(1000 * 1250 + 100 * 10_000)

  test.each<[string, object, bigint]>([
    [
      'a search of the web',
      { output: [{ type: 'web_search_call', action: { type: 'search' } }] },
      10_000_000n,
    ],
    [
      'opening a page is no search',
      { output: [{ type: 'web_search_call', action: { type: 'open_page' } }] },
      0n,
    ],
    [
      'the provider’s own count of searches',
      { output: [{ type: 'web_search_call' }], tool_usage: { web_search: { num_requests: 3 } } },
      30_000_000n,
    ],
    [
      'the preview of the web search, with a model that does not reason',
      {
        output: [{ type: 'web_search_call' }],
        tools: [{ type: 'web_search_preview' }],
        reasoning: { effort: null },
      },
      25_000_000n,
    ],
    [
      'the preview of the web search, with a model that does',
      {
        output: [{ type: 'web_search_call' }],
        tools: [{ type: 'web_search_preview' }],
        reasoning: { effort: 'low' },
      },
      10_000_000n,
    ],
    [
      'two searches of files',
      { output: [{ type: 'file_search_call' }, { type: 'file_search_call' }] },
      5_000_000n,
    ],
    [
      'a container, used twice',
      {
        output: [
          { type: 'code_interpreter_call', container_id: 'cntr_1' },
          { type: 'code_interpreter_call', container_id: 'cntr_1' },
        ],
      },
      30_000_000n,
    ],
    [
      'a large container',
      {
        output: [{ type: 'code_interpreter_call', container_id: 'cntr_1' }],
        tools: [{ type: 'code_interpreter', container: { type: 'auto', memory_limit: '16g' } }],
      },
      480_000_000n,
    ],
    ['functions, which the client runs', { output: [{ type: 'function_call' }, { type: 'message' }] }, 0n],
  ])('%s', (_, answer, extra) => {
    expect(costOfAnswer('gpt-5', { ...answer, usage })).toEqual({ nanoUsd: tokens + extra, unpriced: [] })
  })

  test('images that the answering model had made, at the image model’s price', () => {
    const answer = {
      output: [{ type: 'image_generation_call' }],
      tool_usage: {
        image_gen: {
          input_tokens: 60,
          output_tokens: 1056,
          input_tokens_details: { text_tokens: 20, image_tokens: 40 },
          cached_tokens: 10,
          cached_tokens_details: { cached_image_tokens: 4, cached_text_tokens: 6 },
        },
      },
      usage,
    }
    const images = 14 * 5000 + 6 * 1250 + 36 * 10_000 + 4 * 2500 + 1056 * 40_000
    expect(costOfAnswer('gpt-5', answer, { imageModel: 'gpt-image-1' })).toEqual({
      nanoUsd: tokens + BigInt(images),
      unpriced: [],
    })
    expect(costOfAnswer('gpt-5', answer).unpriced).toEqual(['image_generation'])
  })

  test('an image that was made without a word on its tokens makes the cost an estimate', () => {
    expect(costOfAnswer('gpt-5', { output: [{ type: 'image_generation_call' }], usage })).toEqual({
      nanoUsd: tokens,
      unpriced: ['image_generation'],
    })
  })
})

describe('what has no price is charged dearly, and said', () => {
  test('audio of a model that lists none', () => {
    const usage = { prompt_tokens: 10, completion_tokens: 0, prompt_tokens_details: { audio_tokens: 10 } }
    expect(costOfAnswer('gpt-4o', { usage })).toEqual({ nanoUsd: 100_000n, unpriced: ['audio_input'] })
  })

  test('a service tier that is not listed', () => {
    const usage = { prompt_tokens: 10, completion_tokens: 0 }
    expect(costOfAnswer('gpt-4o', { service_tier: 'ultrafast', usage })).toEqual({
      nanoUsd: 25_000n,
      unpriced: ['service_tier'],
    })
  })
})

describe('usage that can’t be right is read with care', () => {
  test.each([
    ['nothing', null],
    ['a text', 'usage'],
    ['no usage', { id: 'x' }],
    ['usage that is no object', { usage: 5 }],
    ['usage without counts', { usage: { total_tokens: 5 } }],
    ['negative counts', { usage: { prompt_tokens: -5 } }],
    ['fractions', { usage: { prompt_tokens: 1.5, completion_tokens: '3' } }],
  ])('%s tells no usage', (_, value) => {
    expect(readOpenai(value)?.consumption ?? null).toBeNull()
  })

  test('details that claim more than the total are cut to it', () => {
    const usage = {
      prompt_tokens: 10,
      completion_tokens: 5,
      prompt_tokens_details: { cached_tokens: 100, audio_tokens: 4, cache_write_tokens: 50 },
      completion_tokens_details: { audio_tokens: 50 },
    }
    expect(readOpenai({ usage })?.consumption?.tokens).toMatchObject({
      text: 0,
      audio: 4,
      cachedText: 6,
      cacheWrite: 0,
      outputText: 0,
      outputAudio: 5,
    })
  })
})
