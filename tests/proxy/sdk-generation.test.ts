import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod'
import { afterAll, expect, test } from 'vitest'
import { z } from 'zod'
import { startTestGateway } from '../support/gateway.ts'
import { sdk } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())
const simulated = { provider: 'simulator', baseUrl: 'http://simulator.internal/v1' }

const messages = [{ role: 'user' as const, content: 'Say hello.' }]
const model = 'gpt-5-nano'
const weather = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
}

test('a chat completion is what the provider said, and its record tells the tokens', async () => {
  const key = await gateway.keyFor(simulated)
  const { data, response } = await sdk(gateway, key)
    .chat.completions.create({ model, messages })
    .withResponse()
  expect(data.choices[0]?.finish_reason).toBe('stop')
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({
    id: response.headers.get('latchkey-request-id'),
    endpoint: '/v1/chat/completions',
    provider: 'simulator',
    model,
    responseModel: data.model,
    status: 200,
    code: null,
    attempts: 1,
    streamed: false,
    inputTokens: data.usage?.prompt_tokens,
    outputTokens: data.usage?.completion_tokens,
    cachedInputTokens: 0,
    reasoningTokens: 25,
    usageMissing: false,
  })
})

test('a streamed chat completion adds up; usage that was not asked for is recorded and not shown', async () => {
  const key = await gateway.keyFor(simulated)
  const stream = await sdk(gateway, key).chat.completions.create({ model, messages, stream: true })
  let text = ''
  let usages = 0
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? ''
    if (chunk.usage) usages++
  }
  expect(text.length).toBeGreaterThan(0)
  expect(usages).toBe(0)
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ streamed: true, inputTokens: 3, outputTokens: 50, usageMissing: false })
})

test('usage that was asked for is shown and recorded alike', async () => {
  const key = await gateway.keyFor(simulated)
  const stream = sdk(gateway, key).chat.completions.stream({
    model,
    messages,
    n: 2,
    stream_options: { include_usage: true },
  })
  const final = await stream.finalChatCompletion()
  expect(final.choices.map(({ finish_reason }) => finish_reason)).toEqual(['stop', 'stop'])
  const [record] = await gateway.records(key)
  expect(final.usage?.completion_tokens).toBe(100)
  expect(record?.outputTokens).toBe(100)
})

test('tool calls come through, whole and streamed', async () => {
  const client = sdk(gateway, await gateway.keyFor(simulated))
  const ask = {
    model,
    messages,
    tool_choice: 'required' as const,
    tools: [{ type: 'function' as const, function: { name: 'weather', parameters: weather } }],
  }
  const whole = await client.chat.completions.create(ask)
  const streamed = await client.chat.completions.stream(ask).finalChatCompletion()
  for (const { choices } of [whole, streamed]) {
    const call = choices[0]?.message.tool_calls?.[0]
    expect(call).toMatchObject({ function: { name: 'weather', arguments: '{"city":"simulated"}' } })
  }
})

test('structured output is parsed, of chat completions and of responses', async () => {
  const client = sdk(gateway, await gateway.keyFor(simulated))
  const Event = z.object({ name: z.string(), kind: z.enum(['talk', 'party']) })
  const completion = await client.chat.completions.parse({
    model,
    messages,
    response_format: zodResponseFormat(Event, 'event'),
  })
  expect(Event.parse(completion.choices[0]?.message.parsed).kind).toBe('talk')
  const response = await client.responses.parse({
    model,
    input: 'Plan it.',
    text: { format: zodTextFormat(Event, 'event') },
  })
  expect(Event.parse(response.output_parsed).kind).toBe('talk')
})

test('the older completions come through, with usage that was not asked for recorded', async () => {
  const key = await gateway.keyFor(simulated)
  const client = sdk(gateway, key)
  const ask = { model: 'gpt-3.5-turbo-instruct', prompt: 'one' }
  expect((await client.completions.create(ask)).choices).toHaveLength(1)
  let choices = 0
  for await (const chunk of await client.completions.create({ ...ask, stream: true })) {
    expect(chunk.usage ?? null).toBeNull()
    choices += chunk.choices.length
  }
  expect(choices).toBeGreaterThan(1)
  const records = await gateway.records(key, 2)
  expect(records.map(({ inputTokens, outputTokens }) => [inputTokens, outputTokens])).toEqual([
    [1, 50],
    [1, 50],
  ])
})

test('a response is parsed, and its record tells the tokens', async () => {
  const key = await gateway.keyFor(simulated)
  const response = await sdk(gateway, key).responses.create({ model, input: 'Say hello.' })
  expect(response.status).toBe('completed')
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ model, inputTokens: 3, outputTokens: 50, reasoningTokens: 25 })
})

test('a streamed response comes through event by event, and its record tells the tokens', async () => {
  const key = await gateway.keyFor(simulated)
  const stream = sdk(gateway, key).responses.stream({ model, input: 'Say hello.' })
  let deltas = ''
  for await (const event of stream) if (event.type === 'response.output_text.delta') deltas += event.delta
  const final = await stream.finalResponse()
  expect(deltas).toBe(final.output_text)
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({
    endpoint: '/v1/responses',
    streamed: true,
    model,
    responseModel: final.model,
    inputTokens: 3,
    outputTokens: 50,
    reasoningTokens: 25,
  })
})

test('a forced function call of a response comes through, whole and streamed', async () => {
  const client = sdk(gateway, await gateway.keyFor(simulated))
  const tool = { type: 'function' as const, name: 'weather', parameters: weather, strict: true }
  const ask = { model, input: 'x', tools: [tool], tool_choice: 'required' as const }
  const whole = await client.responses.create(ask)
  const streamed = await client.responses.stream(ask).finalResponse()
  for (const { output } of [whole, streamed])
    expect(output.at(-1)).toMatchObject({ name: 'weather', arguments: '{"city":"simulated"}' })
})

test('embeddings are the same as numbers and as base64, and are recorded', async () => {
  const key = await gateway.keyFor(simulated)
  const client = sdk(gateway, key)
  const ask = { model: 'text-embedding-3-small', input: ['one', 'two words'], dimensions: 64 }
  const numbers = await client.embeddings.create({ ...ask, encoding_format: 'float' })
  const decoded = await client.embeddings.create(ask)
  expect(decoded.data[1]?.embedding).toEqual(numbers.data[1]?.embedding)
  const records = await gateway.records(key, 2)
  expect(records.map(({ inputTokens, outputTokens }) => [inputTokens, outputTokens])).toEqual([
    [4, null],
    [4, null],
  ])
})
