import OpenAI, { toFile } from 'openai'
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { sdk, simulate } from './simulated.ts'

const messages = [{ role: 'user' as const, content: 'Say hello.' }]
const weatherParameters = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 3 } },
  required: ['city', 'days'],
  additionalProperties: false,
}

test('a chat completion is parsed, with usage that adds up', async () => {
  const client = sdk(await simulate())
  const answer = await client.chat.completions.create({ model: 'gpt-4o', messages })
  expect(answer.choices[0]?.finish_reason).toBe('stop')
  expect(answer.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 50, total_tokens: 53 })
  expect(Buffer.byteLength(answer.choices[0]?.message.content ?? '')).toBe(200)
})

test('each of n choices is answered and billed', async () => {
  const client = sdk(await simulate({ tokens: 4 }))
  const answer = await client.chat.completions.create({ model: 'gpt-4o', messages, n: 3 })
  expect(answer.choices.map(({ index }) => index)).toEqual([0, 1, 2])
  expect(new Set(answer.choices.map(({ message }) => message.content)).size).toBe(3)
  expect(answer.usage?.completion_tokens).toBe(12)
})

test('a lower cap ends the answer with length, a higher one does nothing', async () => {
  const client = sdk(await simulate({ tokens: 10 }))
  const low = await client.chat.completions.create({ model: 'gpt-4o', messages, max_tokens: 4 })
  expect([low.choices[0]?.finish_reason, low.usage?.completion_tokens]).toEqual(['length', 4])
  const high = await client.chat.completions.create({ model: 'gpt-4o', messages, max_completion_tokens: 99 })
  expect([high.choices[0]?.finish_reason, high.usage?.completion_tokens]).toEqual(['stop', 10])
})

test.each(['o3', 'o4-mini', 'gpt-5', 'gpt-5-nano'])(
  '%s reports reasoning tokens within its completion tokens',
  async (model) => {
    const client = sdk(await simulate())
    const { usage } = await client.chat.completions.create({ model, messages })
    expect(usage?.completion_tokens).toBe(50)
    expect(usage?.completion_tokens_details?.reasoning_tokens).toBe(25)
  },
)

test.each(['gpt-4o', 'gpt-5-chat-latest'])('%s reports no reasoning tokens', async (model) => {
  const client = sdk(await simulate())
  const { usage } = await client.chat.completions.create({ model, messages })
  expect(usage?.completion_tokens_details?.reasoning_tokens).toBe(0)
})

test('a streamed chat completion adds up to the same message, for every choice', async () => {
  const client = sdk(await simulate({ tokens: 9, chunkTokens: 2 }))
  const stream = client.chat.completions.stream({
    model: 'gpt-4o',
    messages,
    n: 2,
    stream_options: { include_usage: true },
  })
  const final = await stream.finalChatCompletion()
  expect(final.choices.map(({ message }) => Buffer.byteLength(message.content ?? ''))).toEqual([36, 36])
  expect(final.choices.map(({ finish_reason }) => finish_reason)).toEqual(['stop', 'stop'])
  expect(final.usage?.completion_tokens).toBe(18)
})

test.each([
  ['required', 'required' as const],
  ['a named function', { type: 'function' as const, function: { name: 'weather' } }],
])('tool_choice %s is answered with a call whose arguments fit its schema', async (_, tool_choice) => {
  const client = sdk(await simulate())
  const ask = {
    model: 'gpt-4o',
    messages,
    tool_choice,
    tools: [{ type: 'function' as const, function: { name: 'weather', parameters: weatherParameters } }],
  }
  const whole = await client.chat.completions.create(ask)
  const streamed = await client.chat.completions.stream(ask).finalChatCompletion()
  for (const { choices } of [whole, streamed]) {
    const call = choices[0]?.message.tool_calls?.[0]
    if (call?.type !== 'function') throw new Error('There is no function call.')
    expect(call.function.name).toBe('weather')
    expect(JSON.parse(call.function.arguments)).toEqual({ city: 'simulated', days: 3 })
    expect(choices[0]?.finish_reason).toBe('tool_calls')
  }
})

test('a response format of a JSON schema is answered with JSON that the schema accepts', async () => {
  const client = sdk(await simulate())
  const Event = z.object({
    name: z.string().min(20),
    kind: z.enum(['talk', 'party']),
    guests: z.array(z.object({ email: z.email(), age: z.number().int().min(18) })),
    place: z.union([z.string(), z.null()]),
  })
  const completion = await client.chat.completions.parse({
    model: 'gpt-4o',
    messages,
    response_format: zodResponseFormat(Event, 'event'),
  })
  expect(Event.parse(completion.choices[0]?.message.parsed).guests).toHaveLength(1)
  const response = await client.responses.parse({
    model: 'gpt-4o',
    input: 'Plan it.',
    text: { format: zodTextFormat(Event, 'event') },
  })
  expect(Event.parse(response.output_parsed).kind).toBe('talk')
})

test('a schema that refers to itself at every turn is answered too', async () => {
  const client = sdk(await simulate())
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']
  const properties = Object.fromEntries(names.map((name) => [name, { $ref: '#' }]))
  const answer = await client.chat.completions.create({
    model: 'gpt-4o',
    messages,
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'tree', schema: { type: 'object', properties, required: names } },
    },
  })
  expect(JSON.parse(answer.choices[0]?.message.content ?? '')).toHaveProperty('a.a.a')
})

test('the older completions are answered, whole and streamed', async () => {
  const client = sdk(await simulate({ tokens: 6 }))
  const ask = { model: 'gpt-3.5-turbo-instruct', prompt: ['one', 'two'] }
  const whole = await client.completions.create(ask)
  expect(whole.choices).toHaveLength(2)
  expect(whole.usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 12 })
  let text = ''
  let total = 0
  const stream = await client.completions.create({
    ...ask,
    prompt: 'one',
    stream: true,
    stream_options: { include_usage: true },
  })
  for await (const chunk of stream) {
    text += chunk.choices[0]?.text ?? ''
    total += chunk.usage?.total_tokens ?? 0
  }
  expect([Buffer.byteLength(text), total]).toEqual([24, 7])
})

test('a response is parsed, and is incomplete where the cap ended it', async () => {
  const client = sdk(await simulate())
  const whole = await client.responses.create({ model: 'gpt-5-nano', input: 'Say hello.' })
  expect(whole.status).toBe('completed')
  expect(Buffer.byteLength(whole.output_text)).toBe(100)
  expect(whole.usage).toMatchObject({
    input_tokens: 3,
    output_tokens: 50,
    output_tokens_details: { reasoning_tokens: 25 },
    total_tokens: 53,
  })
  const capped = await client.responses.create({ model: 'gpt-4o', input: 'x', max_output_tokens: 16 })
  expect(capped.status).toBe('incomplete')
  expect(capped.incomplete_details?.reason).toBe('max_output_tokens')
  expect(capped.usage?.output_tokens).toBe(16)
})

test.each(['gpt-4o', 'gpt-5-nano'])('a streamed response of %s equals the whole one', async (model) => {
  const client = sdk(await simulate())
  const stream = client.responses.stream({ model, input: [{ role: 'user', content: 'Say hello.' }] })
  const types: string[] = []
  let deltas = ''
  for await (const event of stream) {
    types.push(event.type)
    if (event.type === 'response.output_text.delta') deltas += event.delta
  }
  const final = await stream.finalResponse()
  expect(deltas).toBe(final.output_text)
  expect(final.usage?.output_tokens).toBe(50)
  expect(types.slice(0, 2)).toEqual(['response.created', 'response.in_progress'])
  expect(types.slice(-4)).toEqual([
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
    'response.completed',
  ])
})

test('a capped stream of a response ends with response.incomplete and its usage', async () => {
  const client = sdk(await simulate())
  const stream = await client.responses.create({
    model: 'gpt-4o',
    input: 'x',
    max_output_tokens: 16,
    stream: true,
  })
  let last: OpenAI.Responses.ResponseStreamEvent | undefined
  for await (const event of stream) last = event
  if (last?.type !== 'response.incomplete') throw new Error(`It ended with ${last?.type}.`)
  expect(last.response.usage?.output_tokens).toBe(16)
})

test('a forced function call of a response is parsed, whole and streamed', async () => {
  const client = sdk(await simulate())
  const tool = { type: 'function' as const, name: 'weather', parameters: weatherParameters, strict: true }
  const ask = { model: 'gpt-5-nano', input: 'x', tools: [tool], tool_choice: 'required' as const }
  const whole = await client.responses.create(ask)
  const streamed = await client.responses.stream(ask).finalResponse()
  for (const { output } of [whole, streamed]) {
    const call = output.at(-1)
    if (call?.type !== 'function_call') throw new Error('There is no function call.')
    expect(call.name).toBe('weather')
    expect(JSON.parse(call.arguments)).toEqual({ city: 'simulated', days: 3 })
  }
})

test('embeddings are the same unit vectors as numbers and as base64', async () => {
  const client = sdk(await simulate())
  const ask = { model: 'text-embedding-3-small', input: ['one', 'two words'], dimensions: 64 }
  const numbers = await client.embeddings.create({ ...ask, encoding_format: 'float' })
  const decoded = await client.embeddings.create(ask)
  expect(decoded.data[1]?.embedding).toEqual(numbers.data[1]?.embedding)
  const squares = numbers.data[0]?.embedding.reduce((sum, value) => sum + value * value, 0)
  expect(squares).toBeCloseTo(1, 5)
  expect(numbers.data[0]?.embedding).not.toEqual(numbers.data[1]?.embedding)
  expect(numbers.usage).toEqual({ prompt_tokens: 4, total_tokens: 4 })
})

test('images are made and edited, with the usage of gpt-image and none of DALL·E', async () => {
  const client = sdk(await simulate())
  const made = await client.images.generate({ model: 'gpt-image-1', prompt: 'a fox', n: 2, quality: 'low' })
  const header = Buffer.from(made.data?.[1]?.b64_json ?? '', 'base64').subarray(1, 4)
  expect(header.toString()).toBe('PNG')
  expect(made.usage).toMatchObject({ input_tokens: 2, output_tokens: 544, total_tokens: 546 })
  const image = await toFile(Buffer.alloc(1000), 'fox.png', { type: 'image/png' })
  const edited = await client.images.edit({ model: 'gpt-image-1', prompt: 'a dog', image })
  expect(edited.usage?.input_tokens_details).toEqual({ text_tokens: 2, image_tokens: 194 })
  const dalle = await client.images.generate({ model: 'dall-e-3', prompt: 'a fox' })
  expect(dalle.usage).toBeUndefined()
  const stream = await client.images.generate({ model: 'gpt-image-1', prompt: 'a fox', stream: true })
  for await (const event of stream)
    if (event.type === 'image_generation.completed') expect(event.usage.output_tokens).toBe(1056)
    else throw new Error(`A ${event.type} came.`)
})

test('speech is binary and playable in length, and streams as events where asked', async () => {
  const client = sdk(await simulate())
  const ask = { model: 'gpt-4o-mini-tts', voice: 'alloy', input: 'Hello, hello, hello!' }
  const sound = await client.audio.speech.create(ask)
  expect(sound.headers.get('content-type')).toBe('audio/mpeg')
  const bytes = Buffer.from(await sound.arrayBuffer())
  expect(bytes.length).toBe(5 * 8 * 417)
  expect(bytes.readUInt16BE(417)).toBe(0xfffb)
  const events = await client.audio.speech.create({ ...ask, stream_format: 'sse' })
  expect(await events.text()).toContain(
    '"type":"speech.audio.done","usage":{"type":"tokens","input_tokens":5',
  )
})

test('audio is transcribed and translated, billed by token or by the second', async () => {
  const client = sdk(await simulate({ tokens: 5 }))
  const file = () => toFile(Buffer.alloc(40_000), 'talk.mp3', { type: 'audio/mpeg' })
  const byToken = await client.audio.transcriptions.create({ model: 'gpt-4o-transcribe', file: await file() })
  expect(byToken.usage).toMatchObject({
    type: 'tokens',
    input_tokens: 30,
    output_tokens: 5,
    input_token_details: { audio_tokens: 30, text_tokens: 0 },
  })
  const bySecond = await client.audio.transcriptions.create({ model: 'whisper-1', file: await file() })
  expect(bySecond.usage).toEqual({ type: 'duration', seconds: 3 })
  const verbose = await client.audio.transcriptions.create({
    model: 'whisper-1',
    file: await file(),
    response_format: 'verbose_json',
  })
  expect(verbose.segments?.[0]?.end).toBe(3)
  const subtitles = await client.audio.translations.create({
    model: 'whisper-1',
    file: await file(),
    response_format: 'srt',
  })
  expect(subtitles).toMatch(/^1\n00:00:00,000 --> 00:00:03,000\n/)
  const translated = await client.audio.translations.create({ model: 'whisper-1', file: await file() })
  expect(translated.text).not.toBe('')
  const stream = await client.audio.transcriptions.create({
    model: 'gpt-4o-transcribe',
    file: await file(),
    stream: true,
  })
  let deltas = ''
  for await (const event of stream) {
    if (event.type === 'transcript.text.delta') deltas += event.delta
    if (event.type === 'transcript.text.done')
      expect([event.text, event.usage?.output_tokens]).toEqual([deltas, 5])
  }
  expect(Buffer.byteLength(deltas)).toBe(20)
})

test('every input of a moderation is judged', async () => {
  const client = sdk(await simulate())
  const { results } = await client.moderations.create({ input: ['one', 'two'] })
  expect(results.map(({ flagged }) => flagged)).toEqual([false, false])
  expect(results[0]?.categories['self-harm/intent']).toBe(false)
})

test('models are listed and retrieved, and an unknown one is a NotFoundError', async () => {
  const client = sdk(await simulate())
  const ids: string[] = []
  for await (const model of client.models.list()) ids.push(model.id)
  expect(ids).toContain('gpt-5-nano')
  expect((await client.models.retrieve('gpt-5-nano')).owned_by).toBe('simulator')
  await expect(client.models.retrieve('no-such-model')).rejects.toThrow(OpenAI.NotFoundError)
})

test('a file is uploaded, listed page by page, retrieved, downloaded and deleted', async () => {
  const client = sdk(await simulate())
  const upload = async (size: number) =>
    client.files.create({ file: await toFile(Buffer.alloc(size), `${size}.bin`), purpose: 'user_data' })
  const large = await upload(200_001)
  await upload(0)
  const third = await upload(3)
  expect(large).toMatchObject({ bytes: 200_001, filename: '200001.bin', purpose: 'user_data' })
  const sizes: number[] = []
  for await (const file of client.files.list({ limit: 2 })) sizes.push(file.bytes)
  expect(sizes).toEqual([3, 0, 200_001])
  expect((await client.files.retrieve(third.id)).bytes).toBe(3)
  const content = await client.files.content(large.id)
  expect((await content.arrayBuffer()).byteLength).toBe(200_001)
  expect((await client.files.delete(large.id)).deleted).toBe(true)
  await expect(client.files.retrieve(large.id)).rejects.toThrow(OpenAI.NotFoundError)
})

test('batches and vector stores are made and found again', async () => {
  const client = sdk(await simulate())
  const batch = await client.batches.create({
    input_file_id: 'file-1',
    endpoint: '/v1/responses',
    completion_window: '24h',
  })
  expect(await client.batches.retrieve(batch.id)).toEqual(batch)
  const store = await client.vectorStores.create({ name: 'papers' })
  const stores: string[] = []
  for await (const { id } of client.vectorStores.list()) stores.push(id)
  expect(stores).toEqual([store.id])
  expect((await client.vectorStores.delete(store.id)).deleted).toBe(true)
})

test.each([
  [400, OpenAI.BadRequestError],
  [401, OpenAI.AuthenticationError],
  [403, OpenAI.PermissionDeniedError],
  [404, OpenAI.NotFoundError],
  [409, OpenAI.ConflictError],
  [422, OpenAI.UnprocessableEntityError],
  [429, OpenAI.RateLimitError],
  [500, OpenAI.InternalServerError],
  [503, OpenAI.InternalServerError],
])('an injected %i is raised as its own class', async (status, ErrorClass) => {
  const client = sdk(await simulate(), { 'x-simulator-fault': `status=${status}` })
  await expect(client.chat.completions.create({ model: 'gpt-4o', messages })).rejects.toThrow(ErrorClass)
})

test('a stream that is cut is an error to the SDK and never a short answer', async () => {
  const client = sdk(await simulate(), { 'x-simulator-fault': 'cut=3' })
  const stream = await client.chat.completions.create({ model: 'gpt-4o', messages, stream: true })
  const read = async () => {
    let chunks = 0
    for await (const _ of stream) chunks++
    return chunks
  }
  await expect(read()).rejects.toThrow()
})

test('the SDK gets through by its own retries where only the first requests fail', async () => {
  const simulator = await simulate()
  const client = sdk(simulator, { 'x-simulator-fault': 'status=429;retry-after=0;first=2' }, 2)
  const answer = await client.chat.completions.create({ model: 'gpt-4o', messages })
  expect(answer.choices[0]?.finish_reason).toBe('stop')
  await simulator.books.settled()
  expect(simulator.books.totals().statuses).toEqual({ 200: 1, 429: 2 })
})
