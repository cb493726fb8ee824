import { randomBytes } from 'node:crypto'
import { toFile } from 'openai'
import { afterAll, expect, test } from 'vitest'
import { event, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { askJson, sdk } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())
const simulated = { provider: 'simulator', baseUrl: 'http://simulator.internal/v1' }

test('images are made, streamed and edited, and their tokens are recorded', async () => {
  const key = await gateway.keyFor(simulated)
  const client = sdk(gateway, key)
  const made = await client.images.generate({ model: 'gpt-image-1', prompt: 'a fox', quality: 'low' })
  expect(Buffer.from(made.data?.[0]?.b64_json ?? '', 'base64').toString('latin1', 1, 4)).toBe('PNG')
  const image = await toFile(randomBytes(100_000), 'fox.png', { type: 'image/png' })
  const edited = await client.images.edit({ model: 'gpt-image-1', prompt: 'a dog', image })
  const types: string[] = []
  const stream = await client.images.generate({ model: 'gpt-image-1', prompt: 'a fox', stream: true })
  for await (const event of stream) types.push(event.type)
  expect(types.at(-1)).toBe('image_generation.completed')
  const records = await gateway.records(key, 3)
  expect(records.map(({ endpoint, model, outputTokens }) => [endpoint, model, outputTokens])).toEqual([
    ['/v1/images/generations', 'gpt-image-1', made.usage?.output_tokens],
    ['/v1/images/edits', 'gpt-image-1', edited.usage?.output_tokens],
    ['/v1/images/generations', 'gpt-image-1', 1056],
  ])
})

test('speech arrives to the byte', async () => {
  const sound = randomBytes(300_000)
  const upstream = await startFakeUpstream(async ({ request, response }) => {
    await request.whole()
    response.writeHead(200, { 'content-type': 'audio/mpeg' })
    response.end(sound)
  })
  const key = await gateway.keyFor(upstream)
  const answer = await sdk(gateway, key).audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'Hi' })
  expect(Buffer.from(await answer.arrayBuffer()).equals(sound)).toBe(true)
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ model: 'tts-1', responseBytes: sound.length, usageMissing: false })
})

test('speech as events tells its tokens', async () => {
  const upstream = await startFakeUpstream(async ({ request, response }) => {
    await request.whole()
    const usage = { input_tokens: 14, output_tokens: 101, total_tokens: 115 }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(event({ type: 'speech.audio.delta', audio: 'AAAA' }))
    response.end(event({ type: 'speech.audio.done', usage }))
  })
  const key = await gateway.keyFor(upstream)
  const body = { model: 'gpt-4o-mini-tts', voice: 'alloy', input: 'Hi', stream_format: 'sse' }
  await askJson(gateway.url, '/v1/audio/speech', body, { key })
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({ inputTokens: 14, outputTokens: 101, streamed: true, usageMissing: false })
})

test('a transcription’s sound reaches the provider to the byte, and its tokens are recorded', async () => {
  const sound = randomBytes(500_000)
  const upstream = await startFakeUpstream(async ({ request, response }) => {
    await request.whole()
    const usage = {
      type: 'tokens',
      input_tokens: 14,
      output_tokens: 45,
      input_token_details: { audio_tokens: 14 },
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ text: 'hi', usage }))
  })
  const key = await gateway.keyFor(upstream)
  const answer = await sdk(gateway, key).audio.transcriptions.create({
    model: 'gpt-4o-transcribe',
    file: await toFile(sound, 'talk.mp3', { type: 'audio/mpeg' }),
  })
  expect(answer.text).toBe('hi')
  expect(upstream.requests[0]?.body().includes(sound)).toBe(true)
  const [record] = await gateway.records(key)
  expect(record).toMatchObject({
    model: 'gpt-4o-transcribe',
    inputTokens: 14,
    inputAudioTokens: 14,
    outputTokens: 45,
    requestBytes: upstream.requests[0]?.body().length,
  })
})

test('a streamed transcription tells its tokens too', async () => {
  const key = await gateway.keyFor(simulated)
  const stream = await sdk(gateway, key).audio.transcriptions.create({
    model: 'gpt-4o-transcribe',
    file: await toFile(Buffer.alloc(40_000), 'talk.mp3', { type: 'audio/mpeg' }),
    stream: true,
  })
  let tokens = -1
  for await (const event of stream)
    if (event.type === 'transcript.text.done') tokens = event.usage?.output_tokens ?? -1
  const [record] = await gateway.records(key)
  expect([record?.outputTokens, record?.streamed]).toEqual([tokens, true])
})

test('a file is uploaded, listed, retrieved, downloaded to the byte and deleted', async () => {
  const client = sdk(gateway, await gateway.keyFor(simulated))
  const file = await toFile(Buffer.alloc(200_001), 'large.bin')
  const uploaded = await client.files.create({ file, purpose: 'user_data' })
  expect(uploaded.bytes).toBe(200_001)
  const ids: string[] = []
  for await (const { id } of client.files.list({ limit: 1 })) ids.push(id)
  expect(ids).toContain(uploaded.id)
  expect((await client.files.retrieve(uploaded.id)).filename).toBe('large.bin')
  expect((await client.files.delete(uploaded.id)).deleted).toBe(true)
})

test('a file’s content is downloaded to the byte', async () => {
  const content = randomBytes(2_000_000)
  const upstream = await startFakeUpstream(({ response }) => {
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': content.length })
    response.end(content)
  })
  const client = sdk(gateway, await gateway.keyFor(upstream))
  const answer = await client.files.content('file-1')
  expect(Buffer.from(await answer.arrayBuffer()).equals(content)).toBe(true)
  expect(upstream.requests[0]?.url).toBe('/v1/files/file-1/content')
})

test('a key with a model list is shown those models only, and may retrieve no other', async () => {
  const key = await gateway.keyFor(simulated, { models: ['gpt-5-nano', 'gpt-4o*'] })
  const client = sdk(gateway, key)
  const ids: string[] = []
  for await (const { id } of client.models.list()) ids.push(id)
  expect(ids).toContain('gpt-5-nano')
  expect(ids).toContain('gpt-4o-mini')
  expect(ids.filter((id) => id !== 'gpt-5-nano' && !id.startsWith('gpt-4o'))).toEqual([])
  expect((await client.models.retrieve('gpt-5-nano')).id).toBe('gpt-5-nano')
  await expect(client.models.retrieve('gpt-5')).rejects.toMatchObject({
    status: 403,
    code: 'model_not_allowed',
  })
})

test('a key without a model list is shown every model, byte for byte', async () => {
  const list = '{"object":"list","data":[ {"id":"a","created":12345678901234567890} ]}'
  const upstream = await startFakeUpstream(({ response }) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(list)
  })
  const response = await fetch(`${gateway.url}/v1/models`, {
    headers: { authorization: `Bearer ${(await gateway.keyFor(upstream)).token}` },
  })
  expect(await response.text()).toBe(list)
})

test('moderations, batches and vector stores come through', async () => {
  const key = await gateway.keyFor(simulated)
  const client = sdk(gateway, key)
  const { results } = await client.moderations.create({ input: ['one', 'two'] })
  expect(results.map(({ flagged }) => flagged)).toEqual([false, false])
  const batch = await client.batches.create({
    input_file_id: 'file-1',
    endpoint: '/v1/responses',
    completion_window: '24h',
  })
  expect(await client.batches.retrieve(batch.id)).toEqual(batch)
  const store = await client.vectorStores.create({ name: 'papers' })
  expect((await client.vectorStores.delete(store.id)).deleted).toBe(true)
  const records = await gateway.records(key, 5)
  expect(records.map(({ method, endpoint }) => `${method} ${endpoint}`)).toEqual([
    'POST /v1/moderations',
    'POST /v1/batches',
    `GET /v1/batches/${batch.id}`,
    'POST /v1/vector_stores',
    `DELETE /v1/vector_stores/${store.id}`,
  ])
  expect(records.every(({ usageMissing }) => !usageMissing)).toBe(true)
})
