import { nanoUsd } from '@latchkey/shared'
import { describe, expect, test } from 'vitest'
import { type Bound, largestCapWithin, withCap } from '../../gateway/src/pricing/bound/bound.ts'
import { boundRequest, fieldsOfBound } from '../../gateway/src/pricing/bound/bound-request.ts'
import { builtInPrices } from '../../gateway/src/pricing/load-prices.ts'
import { parsePriceFile } from '../../gateway/src/pricing/price-file.ts'
import { PriceTable } from '../../gateway/src/pricing/price-table.ts'
import { bounded, boundOf, prices, refused, today } from './priced.ts'

const chat = '/v1/chat/completions'
const responses = '/v1/responses'
const hello = [{ role: 'user', content: 'Hello' }]
/** Instructions that a provider may add to an input. */
const hidden = 256

/** The bytes of a request's JSON. */
function bytes(fields: object): number {
  return Buffer.byteLength(JSON.stringify(fields))
}

describe('the most that a request can cost is a token a byte, and its output cap', () => {
  test('chat', () => {
    const fields = { model: 'gpt-4o', messages: hello, max_completion_tokens: 100 }
    // 2.5 and 10 dollars per million: 2500 and 10000 nano-dollars a token.
    const nano = (bytes(fields) + hidden) * 2500 + 100 * 10_000
    expect(bounded(boundOf(chat, fields))).toMatchObject({
      nanoUsd: BigInt(nano),
      inputTokens: BigInt(bytes(fields) + hidden),
      outputTokens: 100n,
      cap: { field: 'max_completion_tokens', tokens: 100n, given: true },
    })
  })

  test('each of several choices', () => {
    const fields = { model: 'gpt-4o', messages: hello, max_tokens: 100, n: 3 }
    const nano = (bytes(fields) + hidden) * 2500 + 3 * 100 * 10_000
    expect(bounded(boundOf(chat, fields))).toMatchObject({
      nanoUsd: BigInt(nano),
      outputTokens: 300n,
      cap: { field: 'max_tokens' },
    })
  })

  test('text counts by its bytes in UTF-8, not by its characters', () => {
    const ascii = bounded(boundOf(chat, { model: 'gpt-4o', messages: [{ role: 'user', content: 'aaaa' }] }))
    const emoji = bounded(
      boundOf(chat, { model: 'gpt-4o', messages: [{ role: 'user', content: '👋👋👋👋' }] }),
    )
    expect(emoji.inputTokens - ascii.inputTokens).toBe(12n)
  })

  test('never more than the context window', () => {
    const fields = {
      model: 'gpt-4',
      messages: [{ role: 'user', content: 'x'.repeat(100_000) }],
      max_tokens: 1,
    }
    expect(bounded(boundOf(chat, fields))).toMatchObject({
      inputTokens: 8192n,
      nanoUsd: BigInt(8192 * 30_000 + 60_000),
    })
  })

  test('a tokenizer’s count, where one was made', () => {
    const fields = { model: 'gpt-4o', messages: hello, max_completion_tokens: 1 }
    expect(bounded(boundOf(chat, fields, { textTokens: 20 })).inputTokens).toBe(BigInt(20 + hidden))
  })

  test('a long context costs what a long context costs', () => {
    const content = 'x'.repeat(300_000)
    const fields = { model: 'gpt-5.4', messages: [{ role: 'user', content }], max_completion_tokens: 10 }
    expect(bounded(boundOf(chat, fields)).nanoUsd).toBe(BigInt((bytes(fields) + hidden) * 5000 + 10 * 22_500))
  })

  test('a part that is marked to be cached may be kept long, and so may what can’t be seen', () => {
    const content = [
      { type: 'input_text', text: 'a', prompt_cache_breakpoint: { mode: 'explicit', ttl: '12h' } },
    ]
    const fields = { model: 'gpt-6.1-sol', input: [{ role: 'user', content }], max_output_tokens: 16 }
    expect(bounded(boundOf(responses, fields)).nanoUsd).toBe(
      BigInt((bytes(fields) + hidden) * 5000 + 16 * 10_000),
    )
    const stored = { model: 'gpt-6.1-sol', previous_response_id: 'resp_1', max_output_tokens: 16 }
    const keptLong = { ...stored, prompt_cache_retention: '24h' }
    expect(bounded(boundOf(responses, stored)).nanoUsd).toBe(bounded(boundOf(responses, keptLong)).nanoUsd)
  })

  test('input that may be written to a cache costs what writing costs, and more where it is kept long', () => {
    const fields = { model: 'gpt-6.1-sol', input: 'Hello', max_output_tokens: 16 }
    const kept = { ...fields, prompt_cache_options: { ttl: '12h' } }
    expect(bounded(boundOf(responses, fields)).nanoUsd).toBe(
      BigInt((bytes(fields) + hidden) * 2500 + 16 * 10_000),
    )
    expect(bounded(boundOf(responses, kept)).nanoUsd).toBe(
      BigInt((bytes(kept) + hidden) * 5000 + 16 * 10_000),
    )
  })

  test.each([
    [undefined, 1250, 10_000],
    [null, 1250, 10_000],
    ['auto', 1250, 10_000],
    ['default', 1250, 10_000],
    ['priority', 2500, 20_000],
    ['fast', 2500, 20_000],
    // A provider may answer a flex request in the standard tier.
    ['flex', 1250, 10_000],
  ])('the service tier %s', (service_tier, input, output) => {
    const fields = { model: 'gpt-5', messages: hello, max_completion_tokens: 50, service_tier }
    expect(bounded(boundOf(chat, fields)).nanoUsd).toBe(
      BigInt((bytes(fields) + hidden) * input + 50 * output),
    )
  })

  test('speech that a chat model answers with', () => {
    const fields = {
      model: 'gpt-audio',
      messages: hello,
      modalities: ['text', 'audio'],
      audio: { voice: 'alloy', format: 'mp3' },
      max_completion_tokens: 100,
    }
    expect(bounded(boundOf(chat, fields)).nanoUsd).toBe(
      BigInt((bytes(fields) + hidden) * 2500 + 100 * 64_000),
    )
  })

  test('legacy completions: every prompt, and the best of so many', () => {
    const fields = { model: 'gpt-3.5-turbo-instruct', prompt: ['a', 'b'], best_of: 3, n: 2, max_tokens: 10 }
    expect(bounded(boundOf('/v1/completions', fields)).nanoUsd).toBe(
      BigInt((bytes(fields) + 2 * 8) * 1500 + 2 * 3 * 10 * 2000),
    )
  })

  test('legacy completions without a cap put out sixteen tokens', () => {
    const fields = { model: 'gpt-3.5-turbo-instruct', prompt: [1, 2, 3] }
    expect(bounded(boundOf('/v1/completions', fields))).toMatchObject({
      outputTokens: 16n,
      cap: { given: true },
    })
  })

  test('embeddings, of texts or of tokens', () => {
    const fields = { model: 'text-embedding-3-small', input: ['one', 'two'] }
    expect(bounded(boundOf('/v1/embeddings', fields)).nanoUsd).toBe(BigInt((bytes(fields) + 2 * 8) * 20))
    const tokens = { model: 'text-embedding-3-small', input: [[1, 2], [3]] }
    expect(bounded(boundOf('/v1/embeddings', tokens)).nanoUsd).toBe(BigInt((bytes(tokens) + 2 * 8) * 20))
  })

  test('speech by its characters', () => {
    const fields = { model: 'tts-1', input: 'Hello 👋', voice: 'alloy' }
    expect(bounded(boundOf('/v1/audio/speech', fields)).nanoUsd).toBe(BigInt(8 * 15_000))
  })

  test('a transcription by the model’s window, since the size of a file bounds no length', () => {
    const bound = bounded(boundOf('/v1/audio/transcriptions', { model: 'gpt-4o-transcribe', file: 'x' }))
    expect(bound.nanoUsd).toBe(BigInt(16_000 * 2500 + 2000 * 10_000))
  })

  test.each([
    [{ model: 'dall-e-3', quality: 'hd', size: '1024x1792' }, 120_000_000n],
    [{ model: 'dall-e-3', size: '1024x1024' }, 80_000_000n],
    [{ model: 'dall-e-3' }, 120_000_000n],
    [{ model: 'dall-e-2', n: 4, size: '256x256' }, 64_000_000n],
  ])('images by the piece: %j', (fields, nano) => {
    expect(bounded(boundOf('/v1/images/generations', { prompt: 'a cat', ...fields })).nanoUsd).toBe(nano)
  })

  test.each([
    [{ quality: 'low', size: '1024x1024' }, 272],
    [{ quality: 'high' }, 6240],
    [{ quality: 'auto', size: 'auto', n: 2 }, 2 * 6240],
    [{ quality: 'medium', size: '1536x1024', partial_images: 3 }, 1568 + 300],
  ])('images by their tokens: %j', (named, tokens) => {
    const fields = { model: 'gpt-image-1', prompt: 'a cat', ...named }
    expect(bounded(boundOf('/v1/images/generations', fields)).nanoUsd).toBe(
      BigInt((bytes(fields) + hidden) * 5000 + tokens * 40_000),
    )
  })

  test('an edit counts as many images as a form may send', () => {
    const fields = { model: 'gpt-image-1', prompt: 'a hat', quality: 'low', size: '1024x1024' }
    expect(bounded(boundOf('/v1/images/edits', fields)).nanoUsd).toBe(
      BigInt((bytes(fields) + hidden) * 5000 + 17 * 6821 * 10_000 + 272 * 40_000),
    )
  })

  test.each([
    ['POST', '/v1/moderations'],
    ['GET', '/v1/models'],
    ['GET', '/v1/batches'],
    ['DELETE', '/v1/files/file-1'],
    ['HEAD', '/v1/models'],
    ['POST', '/v1/files'],
  ])('%s %s is free', (method, endpoint) => {
    expect(bounded(boundOf(endpoint, { input: 'x' }, { method }))).toMatchObject({ nanoUsd: 0n, cap: null })
  })
})

describe('images, files and audio count at their documented most, or as the whole window', () => {
  const image = (url: string) => ({ type: 'image_url', image_url: { url } })
  const data = `data:image/png;base64,${'A'.repeat(50_000)}`
  const ask = (model: string, ...content: object[]) => ({
    model,
    messages: [{ role: 'user', content: [{ type: 'text', text: 'What is this?' }, ...content] }],
    max_completion_tokens: 1,
  })

  test('an image that is only named', () => {
    const fields = ask('gpt-4o', image('https://example.com/a.png'), image('https://example.com/b.png'))
    expect(bounded(boundOf(chat, fields)).inputTokens).toBe(BigInt(bytes(fields) + hidden + 2 * 1445))
  })

  test('the data of an image is no text', () => {
    const fields = ask('gpt-4o', image(data))
    expect(bounded(boundOf(chat, fields)).inputTokens).toBe(
      BigInt(bytes(fields) - data.length + hidden + 1445),
    )
  })

  test('an image may be billed beyond the window that it fits', () => {
    const images = Array.from({ length: 40 }, () => image('https://example.com/a.png'))
    expect(bounded(boundOf(chat, ask('gpt-4o-mini', ...images))).inputTokens).toBeGreaterThan(128_000n)
  })

  test('an image whose most is not documented is the whole window', () => {
    expect(bounded(boundOf(chat, ask('gpt-5.4-mini', image(data)))).inputTokens).toBe(400_000n)
  })

  test.each<[string, object]>([
    ['a file', ask('gpt-4o', { type: 'file', file: { file_id: 'file-1' } })],
    ['a document in an image’s place', ask('gpt-4o', image('data:application/pdf;base64,JVBERi0='))],
    ['text in an image’s place', ask('gpt-4o', image('data:text/plain,a%20b'))],
    ['an address that no browser opens', ask('gpt-4o', image('gs://bucket/film.mp4'))],
    ['an image without an address', ask('gpt-4o', { type: 'image_url' })],
    ['a reference within a text', ask('gpt-4o', { type: 'text', text: 'x', file_id: 'file-1' })],
    [
      'a member of a message in another case',
      {
        model: 'gpt-4o',
        messages: [{ role: 'user', content: 'a', Content: [image('https://example.com/a.pdf')] }],
        max_completion_tokens: 1,
      },
    ],
    [
      'a member of a message that nobody knows',
      {
        model: 'gpt-4o',
        messages: [{ role: 'user', content: 'a', attachments: [1] }],
        max_completion_tokens: 1,
      },
    ],
    ['a part of a kind that is not known', ask('gpt-4o', { type: 'hologram' })],
    ['messages that are no list', { model: 'gpt-4o', messages: 'Hello', max_completion_tokens: 1 }],
    [
      'audio that the model spoke earlier',
      { model: 'gpt-4o', messages: [{ role: 'assistant', audio: { id: 'a' } }], max_completion_tokens: 1 },
    ],
  ])('%s is the whole window', (_, fields) => {
    expect(bounded(boundOf(chat, { ...fields })).inputTokens).toBe(128_000n)
  })

  test('audio is the whole window, at the price of audio', () => {
    const fields = ask('gpt-audio', { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } })
    expect(bounded(boundOf(chat, fields)).nanoUsd).toBe(BigInt(128_000 * 32_000 + 10_000))
  })

  test.each<[string, object]>([
    ['a stored response', { previous_response_id: 'resp_1' }],
    ['a stored conversation', { conversation: 'conv_1' }],
    ['an item that is only named', { input: [{ type: 'item_reference', id: 'msg_1' }] }],
    ['an item that is only named, without a type', { input: [{ id: 'msg_1' }] }],
    ['an item whose type is null', { input: [{ id: 'msg_1', type: null }] }],
    ['a message without content', { input: [{ type: 'message', id: 'msg_1', role: 'assistant' }] }],
    ['a message whose content is null', { input: [{ role: 'assistant', content: null, id: 'msg_1' }] }],
    ['a call that is only named', { input: [{ type: 'function_call', id: 'fc_1', call_id: 'c' }] }],
    [
      'an output that is only named',
      { input: [{ type: 'function_call_output', id: 'fco_1', call_id: 'c' }] },
    ],
    [
      'a message with a member that nobody knows',
      { input: [{ role: 'user', content: 'a', files: ['file-1'] }] },
    ],
    [
      'instructions that are no text',
      { instructions: [{ role: 'user', content: [{ type: 'input_file', file_id: 'file-1' }] }] },
    ],
    [
      'a file in an image’s place',
      { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'data:text/html,x' }] }] },
    ],
    ['reasoning that is stored', { input: [{ type: 'reasoning', id: 'rs_1', summary: [] }] }],
    ['a compacted conversation', { input: [{ type: 'compaction', encrypted_content: 'x' }] }],
    ['a file', { input: [{ role: 'user', content: [{ type: 'input_file', file_id: 'file-1' }] }] }],
  ])('%s is the whole window', (_, more) => {
    const fields = { model: 'gpt-5', input: 'Go on', max_output_tokens: 16, ...more }
    expect(bounded(boundOf(responses, fields)).inputTokens).toBe(272_000n)
  })

  test('what is embedded and is no text is the whole window, for each input', () => {
    const fields = { model: 'text-embedding-3-small', input: ['a', { image: 'https://example.com/a.png' }] }
    expect(bounded(boundOf('/v1/embeddings', fields)).inputTokens).toBe(2n * 8192n)
  })

  test('an answer of OpenAI’s SDK, put back into the conversation, counts by its bytes', () => {
    const answer = { role: 'assistant', content: 'Hi', refusal: null, annotations: [], function_call: null }
    const fields = { model: 'gpt-4o', messages: [...hello, answer, ...hello], max_completion_tokens: 1 }
    expect(bounded(boundOf(chat, fields)).inputTokens).toBe(BigInt(bytes(fields) + hidden))
  })

  test('an image by the id of its file, and one whose data URL is in upper case', () => {
    const url = `DATA:image/png;base64,${'A'.repeat(50_000)}`
    const content = [
      { type: 'input_image', file_id: 'file-1', detail: 'high' },
      { type: 'input_image', image_url: url },
    ]
    const fields = { model: 'gpt-4o', input: [{ role: 'user', content }], max_output_tokens: 16 }
    expect(bounded(boundOf(responses, fields)).inputTokens).toBe(
      BigInt(bytes(fields) - url.length + hidden + 2 * 1445),
    )
  })

  test('a conversation that the request spells out counts by its bytes', () => {
    const input = [
      { role: 'user', content: 'What is the weather?' },
      { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'gAAAA' },
      { type: 'function_call', call_id: 'c', name: 'weather', arguments: '{}' },
      { type: 'function_call_output', call_id: 'c', output: 'Sunny' },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Sunny.' }] },
    ]
    const fields = { model: 'gpt-5', input, max_output_tokens: 16 }
    expect(bounded(boundOf(responses, fields)).inputTokens).toBe(BigInt(bytes(fields) + hidden))
  })
})

describe('a request without an output cap is bounded by one that the gateway must send', () => {
  test('the default, where the model can put out more', () => {
    const fields = { model: 'gpt-5', input: 'Hello' }
    expect(bounded(boundOf(responses, fields, { defaultCap: 16_384 }))).toMatchObject({
      outputTokens: 16_384n,
      cap: { field: 'max_output_tokens', tokens: 16_384n, given: false },
    })
  })

  test('the model’s maximum, where it can’t', () => {
    expect(bounded(boundOf(chat, { model: 'gpt-4-turbo', messages: hello }))).toMatchObject({
      cap: { field: 'max_completion_tokens', tokens: 4096n, given: false },
    })
  })

  test('null is no cap', () => {
    const fields = { model: 'gpt-5', messages: hello, max_completion_tokens: null }
    expect(bounded(boundOf(chat, fields)).cap).toMatchObject({ given: false })
  })

  test('the older name, at an API that may not know the newer one', () => {
    const bound = boundOf(chat, { model: 'm', messages: hello }, compatible())
    expect(bounded(bound).cap).toMatchObject({ field: 'max_tokens', given: false })
  })

  test('the older name beside the newer one, which such an API may honour or not', () => {
    const fields = { model: 'm', messages: hello, max_completion_tokens: 50 }
    const bound = bounded(boundOf(chat, fields, compatible()))
    expect(bound).toMatchObject({
      outputTokens: 50n,
      cap: { field: 'max_tokens', tokens: 50n, given: false },
    })
    // The newer one stays in the body, and may be the one that counts.
    expect(largestCapWithin(bound, nanoUsd(bound.nanoUsd - 1n))).toBeNull()
    expect(largestCapWithin(bound, bound.nanoUsd)).toBe(50n)
  })

  test('of both names at such an API, the greater cap bounds, and neither is lowered', () => {
    for (const [older, newer] of [
      [10, 60],
      [60, 10],
    ]) {
      const fields = { model: 'm', messages: hello, max_tokens: older, max_completion_tokens: newer }
      const bound = bounded(boundOf(chat, fields, compatible()))
      expect(bound.cap).toMatchObject({ field: 'max_tokens', tokens: 60n, given: true })
      expect(largestCapWithin(bound, nanoUsd(bound.nanoUsd - 1n))).toBeNull()
    }
  })
})

describe('a number that no request needs is refused, and multiplies nothing', () => {
  const tooMany = 10_000_001

  test.each<[string, string, object, string]>([
    ['a cap beyond all models', chat, { model: 'gpt-4o', max_tokens: 9007199254740991 }, 'max_tokens'],
    ['the newer cap', chat, { model: 'gpt-4o', max_completion_tokens: tooMany }, 'max_completion_tokens'],
    [
      'the cap of a response',
      responses,
      { model: 'gpt-4o', max_output_tokens: tooMany },
      'max_output_tokens',
    ],
    [
      'the cap of a completion',
      '/v1/completions',
      { model: 'gpt-3.5-turbo-instruct', prompt: 'a', max_tokens: tooMany },
      'max_tokens',
    ],
    ['choices', chat, { model: 'gpt-4o', n: 129 }, 'n'],
    [
      'the best of',
      '/v1/completions',
      { model: 'gpt-3.5-turbo-instruct', prompt: 'a', best_of: 129 },
      'best_of',
    ],
    ['images', '/v1/images/generations', { model: 'dall-e-2', prompt: 'a', n: 129 }, 'n'],
    [
      'partial images',
      '/v1/images/generations',
      { model: 'gpt-image-1', partial_images: 4 },
      'partial_images',
    ],
  ])('%s', (_, endpoint, fields, param) => {
    const input = endpoint === chat ? { messages: hello } : {}
    expect(refused(boundOf(endpoint, { ...input, ...fields }))).toMatchObject({
      code: 'unsupported_parameter',
      param,
    })
  })

  test('the highest are counted', () => {
    const fields = { model: 'gpt-4o', messages: hello, max_tokens: 10_000_000, n: 128 }
    expect(bounded(boundOf(chat, fields)).outputTokens).toBe(1_280_000_000n)
  })

  test('ten thousand choices at a compatible API, and no more', () => {
    const fields = { model: 'm', messages: hello, max_tokens: 1 }
    expect(bounded(boundOf(chat, { ...fields, n: 10_000 }, compatible())).outputTokens).toBe(10_000n)
    expect(refused(boundOf(chat, { ...fields, n: 10_001 }, compatible())).param).toBe('n')
  })
})

describe('a cap can be lowered to what an amount pays', () => {
  const bound = bounded(boundOf(responses, { model: 'gpt-5', input: 'Hello', max_output_tokens: 1000 }))

  test('to the last token', () => {
    for (const amount of [500_000n, 700_001n, 999_999n, 5_000_000n]) {
      const cap = largestCapWithin(bound, nanoUsd(amount))
      if (cap === null) continue
      expect(withCap(bound, cap).nanoUsd <= amount).toBe(true)
      expect(withCap(bound, cap + 1n).nanoUsd > amount).toBe(true)
    }
    expect(largestCapWithin(bound, nanoUsd(5_000_000n))).toBeGreaterThan(16n)
  })

  test('never above the client’s', () => {
    expect(largestCapWithin(bound, nanoUsd(10n ** 12n))).toBe(1000n)
  })

  test('not below what the endpoint accepts, nor below its input’s cost', () => {
    const fixed = withCap(bound, 0n).nanoUsd
    expect(largestCapWithin(bound, nanoUsd(fixed + 15n * 10_000n))).toBeNull()
    expect(largestCapWithin(bound, nanoUsd(fixed + 16n * 10_000n))).toBe(16n)
    expect(largestCapWithin(bound, nanoUsd(0n))).toBeNull()
  })

  test('not where nothing caps the output', () => {
    const fields = { model: 'text-embedding-3-small', input: 'x' }
    expect(largestCapWithin(bounded(boundOf('/v1/embeddings', fields)), nanoUsd(1n))).toBeNull()
  })
})

describe('what nothing bounds is refused, naming the field', () => {
  const ask = { model: 'gpt-5', messages: hello }
  const respond = { model: 'gpt-5', input: 'Hello' }

  test.each<[string, string, object, string, string | null]>([
    ['a model that has no price', chat, { ...ask, model: 'gpt-99' }, 'unpriced_model', 'model'],
    ['no model', chat, { messages: hello }, 'unpriced_model', 'model'],
    ['a model that only transcribes', chat, { ...ask, model: 'whisper-1' }, 'unpriced_model', 'model'],
    [
      'a model that searches',
      chat,
      { ...ask, model: 'gpt-4o-search-preview' },
      'unsupported_parameter',
      'model',
    ],
    [
      'a search of the web',
      chat,
      { ...ask, web_search_options: {} },
      'unsupported_parameter',
      'web_search_options',
    ],
    [
      'predicted output',
      chat,
      { ...ask, prediction: { type: 'content' } },
      'unsupported_parameter',
      'prediction',
    ],
    ['models to fall back to', chat, { ...ask, models: ['gpt-5'] }, 'unsupported_parameter', 'models'],
    ['a parameter that nobody knows yet', chat, { ...ask, swarm: true }, 'unsupported_parameter', 'swarm'],
    [
      'two caps',
      chat,
      { ...ask, max_tokens: 5, max_completion_tokens: 5 },
      'unsupported_parameter',
      'max_tokens',
    ],
    ['a cap that is no number', chat, { ...ask, max_tokens: 'many' }, 'unsupported_parameter', 'max_tokens'],
    ['a fraction of a cap', chat, { ...ask, max_tokens: 1.5 }, 'unsupported_parameter', 'max_tokens'],
    [
      'a negative cap',
      chat,
      { ...ask, max_completion_tokens: -1 },
      'unsupported_parameter',
      'max_completion_tokens',
    ],
    ['no number of choices', chat, { ...ask, n: 0 }, 'unsupported_parameter', 'n'],
    [
      'a tier without a price',
      chat,
      { ...ask, service_tier: 'scale' },
      'unsupported_parameter',
      'service_tier',
    ],
    [
      'a tier that the model does not have',
      chat,
      { ...ask, model: 'gpt-5-nano', service_tier: 'priority' },
      'unsupported_parameter',
      'service_tier',
    ],
    [
      'speech of a model that is silent',
      chat,
      { ...ask, modalities: ['audio'] },
      'unsupported_parameter',
      'modalities',
    ],
    [
      'audio that the model has no price for',
      chat,
      { ...ask, messages: [{ role: 'user', content: [{ type: 'input_audio' }] }] },
      'unsupported_parameter',
      'messages[0].content[0]',
    ],
    [
      'a hosted tool',
      responses,
      { ...respond, tools: [{ type: 'function' }, { type: 'web_search' }] },
      'unsupported_parameter',
      'tools[1].type',
    ],
    [
      'a remote tool server',
      responses,
      { ...respond, tools: [{ type: 'mcp' }] },
      'unsupported_parameter',
      'tools[0].type',
    ],
    ['tools that are no list', responses, { ...respond, tools: 'all' }, 'unsupported_parameter', 'tools'],
    [
      'a run in the background',
      responses,
      { ...respond, background: true },
      'unsupported_parameter',
      'background',
    ],
    [
      'a stored prompt, which may bring tools',
      responses,
      { ...respond, prompt: { id: 'p' } },
      'unsupported_parameter',
      'prompt',
    ],
    [
      'compaction on the way',
      responses,
      { ...respond, context_management: [{}] },
      'unsupported_parameter',
      'context_management',
    ],
    [
      'the pro mode',
      responses,
      { ...respond, reasoning: { mode: 'pro' } },
      'unsupported_parameter',
      'reasoning',
    ],
    [
      'a stored conversation of unknown size',
      responses,
      { model: 'chat-latest', previous_response_id: 'r' },
      'unsupported_parameter',
      'previous_response_id',
    ],
    [
      'audio by the minute',
      '/v1/audio/transcriptions',
      { model: 'whisper-1' },
      'unsupported_parameter',
      'model',
    ],
    [
      'audio in chunks',
      '/v1/audio/transcriptions',
      { model: 'gpt-4o-transcribe', chunking_strategy: 'auto' },
      'unsupported_parameter',
      'chunking_strategy',
    ],
    [
      'speech of unknown length',
      '/v1/audio/speech',
      { model: 'gpt-4o-mini-tts', input: 'x' },
      'unsupported_parameter',
      'model',
    ],
    [
      'an image whose maker’s thoughts nothing caps',
      '/v1/images/generations',
      { model: 'gpt-image-1.5', prompt: 'x' },
      'unsupported_parameter',
      'model',
    ],
    [
      'an image of unknown size',
      '/v1/images/generations',
      { model: 'gpt-image-1', size: '9x9' },
      'unsupported_parameter',
      'size',
    ],
    [
      'an image of unknown quality',
      '/v1/images/generations',
      { model: 'gpt-image-1', quality: 'max' },
      'unsupported_parameter',
      'quality',
    ],
    ['a batch', '/v1/batches', {}, 'unsupported_parameter', null],
    ['a realtime session', '/v1/realtime/client_secrets', {}, 'unsupported_parameter', null],
    ['fine-tuning', '/v1/fine_tuning/jobs', {}, 'unsupported_parameter', null],
    ['an endpoint that nobody knows yet', '/v1/swarms', {}, 'unsupported_parameter', null],
  ])('%s', (_, endpoint, fields, code, param) => {
    const refusal = refused(boundOf(endpoint, { ...fields }))
    expect(refusal).toMatchObject({ code, param })
    expect(refusal.message).not.toBe('')
  })

  test.each<[string, object]>([
    ['background: false', { background: false }],
    ['reasoning of the standard mode', { reasoning: { effort: 'low', mode: 'standard' } }],
    ['parameters that are null', { prompt: null, tools: null, context_management: null }],
    [
      'functions that the client runs',
      {
        tools: [
          { type: 'function', name: 'f' },
          { type: 'custom', name: 'c' },
        ],
      },
    ],
  ])('%s costs nothing more, and is not refused', (_, more) => {
    expect(boundOf(responses, { ...respond, ...more }).kind).toBe('bounded')
  })

  test('parameters of its own are no fault at a compatible API', () => {
    const table = withEntry('openai-compatible', { standard: { input: 1, output: 1 } })
    const options = { provider: 'openai-compatible', prices: table }
    expect(boundOf(chat, { model: 'm', messages: hello, top_k: 5 }, options).kind).toBe('bounded')
    expect(refused(boundOf(chat, { model: 'm', messages: hello, plugins: [{}] }, options)).param).toBe(
      'plugins',
    )
    expect(refused(boundOf('/v1/moderations', { model: 'x' }, options)).code).toBe('unpriced_model')
  })

  test.each<[string, unknown]>([
    ['extra_body', { google: { cached_content: 'cachedContents/1' } }],
    ['cached_content', 'cachedContents/1'],
    ['cachedContent', 'cachedContents/1'],
    ['Extra_Body', {}],
    ['previous_response_id', 'resp_1'],
    ['enable_search', true],
    ['best_of', 20],
    ['provider', { only: ['dear'] }],
    ['maxTokens', 100_000],
    ['generation_config', { max_output_tokens: 100_000 }],
  ])('at a compatible API, %s may cost more', (name, value) => {
    const fields = { model: 'm', messages: hello, max_tokens: 1, [name]: value }
    expect(refused(boundOf(chat, fields, compatible()))).toMatchObject({
      code: 'unsupported_parameter',
      param: name,
    })
  })

  test('a search that is switched off costs nothing', () => {
    const fields = { model: 'm', messages: hello, enable_search: false }
    expect(boundOf(chat, fields, compatible()).kind).toBe('bounded')
  })

  test('choices of a response, at an API that has them', () => {
    const fields = { model: 'm', input: 'Hello', n: 2 }
    expect(refused(boundOf(responses, fields, compatible())).param).toBe('n')
    expect(boundOf(responses, { ...fields, n: 1 }, compatible()).kind).toBe('bounded')
  })

  test.each([
    ['/v1/audio/speech', { model: 'tts-1', voice: 'x', input: '' }],
    [chat, { model: 'gpt-4o', messages: '' }],
    ['/v1/embeddings', { model: 'text-embedding-3-small', input: '' }],
    ['/v1/moderations', { input: '' }],
  ])('%s as a form, whose long values are not known', (endpoint, fields) => {
    expect(refused(formBound(endpoint, fields, 5000))).toMatchObject({ code: 'unsupported_parameter' })
  })

  test('the long prompt of a form counts by its bytes', () => {
    const fields = { model: 'gpt-image-1', prompt: '', quality: 'low', size: '1024x1024' }
    const short = bounded(formBound('/v1/images/edits', fields, 100))
    const long = bounded(formBound('/v1/images/edits', fields, 5000))
    expect(long.inputTokens - short.inputTokens).toBe(4900n)
  })

  test.each([
    ['/v1/images/edits', { model: 'gpt-image-1', quality: '' }, 'quality'],
    ['/v1/images/edits', { model: 'gpt-image-1', n: '' }, 'n'],
    ['/v1/audio/transcriptions', { model: 'gpt-4o-transcribe', chunking_strategy: '' }, 'chunking_strategy'],
  ])('%s with a field of a form that is too long to be kept: %j', (endpoint, fields, param) => {
    expect(refused(formBound(endpoint, fields, 5000)).param).toBe(param)
  })

  test('an operator who knows the longest audio makes a model by the minute boundable', () => {
    const table = withEntry('openai', { standard: { perMinute: 6_000_000_000 } }, { maxAudioSeconds: 1500 })
    const bound = boundOf('/v1/audio/transcriptions', { model: 'm' }, { prices: table })
    expect(bounded(bound).nanoUsd).toBe(150_000_000n)
  })

  test('a fallback price bounds a model that is listed nowhere', () => {
    const fallback = {
      source: 'guess',
      contextWindow: 1000,
      maxOutputTokens: 100,
      prices: [{ standard: { input: 1000, output: 2000 } }],
    }
    const table = new PriceTable([builtInPrices(), parsePriceFile({ version: 'x', fallback }, 'x.json')])
    const fields = { model: 'gpt-99', messages: hello }
    expect(bounded(boundOf(chat, fields, { prices: table })).nanoUsd).toBe(
      BigInt(bytes(fields) + hidden + 200),
    )
  })
})

test('every field on which a bound rests is named, so that it can’t stand twice in a body', () => {
  const read = new Set<string>()
  const spy = (fields: Record<string, unknown>) =>
    new Proxy(fields, {
      get(target, name) {
        if (typeof name === 'string') read.add(name)
        return Reflect.get(target, name)
      },
    })
  const ask = (endpoint: string, fields: Record<string, unknown>) =>
    boundRequest(
      { provider: 'openai', method: 'POST', endpoint, fields: spy(fields), bytes: 100 },
      { prices, at: today, defaultCap: 100 },
    )
  ask(chat, { model: 'gpt-5', messages: hello })
  ask(responses, { model: 'gpt-5', input: 'x' })
  ask('/v1/completions', { model: 'gpt-3.5-turbo-instruct', prompt: 'x' })
  ask('/v1/embeddings', { model: 'text-embedding-3-small', input: 'x' })
  ask('/v1/images/generations', { model: 'gpt-image-1', prompt: 'x' })
  ask('/v1/audio/speech', { model: 'tts-1', input: 'x', voice: 'x' })
  expect([...read].filter((name) => !new Set<string>(fieldsOfBound).has(name))).toEqual([])
})

/** A compatible API with a model `m`. */
function compatible() {
  const standard = { input: 1000, output: 1000 }
  return { provider: 'openai-compatible', prices: withEntry('openai-compatible', { standard }) }
}

/** The bound of a form whose text fields, some of them too long to be kept, have `bytes` bytes. */
function formBound(endpoint: string, fields: Readonly<Record<string, unknown>>, bytes: number): Bound {
  return boundRequest(
    { provider: 'openai', method: 'POST', endpoint, fields, bytes, isForm: true },
    { prices, at: today, defaultCap: 100 },
  )
}

/** A table with a model `m` beside the built-in ones. */
function withEntry(provider: string, period: object, limits: object = {}): PriceTable {
  const entry = { source: 'test', contextWindow: 1000, maxOutputTokens: 100, ...limits, prices: [period] }
  return new PriceTable([
    builtInPrices(),
    parsePriceFile({ version: 'test', models: { [provider]: { m: entry } } }, 'test.json'),
  ])
}
