import { expect, test } from 'vitest'
import { chat, eventsOf, send, simulate } from './simulated.ts'

const last = -1

test('with include_usage every chunk says usage null but the last, which has no choices', async () => {
  const { body } = await chat(await simulate({ tokens: 4 }), {
    stream: true,
    stream_options: { include_usage: true },
  })
  const events = eventsOf(body)
  expect(events.at(last)).toBe('[DONE]')
  const chunks = events.slice(0, last).map((event) => JSON.parse(event))
  const usage = chunks.pop()
  expect(usage.choices).toEqual([])
  expect(usage.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 })
  expect(chunks).toHaveLength(1 + 4 + 1)
  for (const chunk of chunks) {
    expect(chunk.usage).toBeNull()
    expect(chunk.choices).toHaveLength(1)
  }
})

test('without include_usage no chunk mentions usage', async () => {
  const { body } = await chat(await simulate(), { stream: true })
  expect(body.toString()).not.toContain('usage')
  expect(eventsOf(body).at(last)).toBe('[DONE]')
})

test('the events of a response are named, typed and numbered without a gap', async () => {
  const { body, headers } = await send(await simulate(), {
    path: '/v1/responses',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-5', input: 'Hello', stream: true }),
  })
  expect(headers['content-type']).toMatch(/^text\/event-stream/)
  const events = body.toString().trimEnd().split('\n\n')
  for (const [index, event] of events.entries()) {
    const [, name, data] = /^event: (.+)\ndata: (.+)$/.exec(event) ?? []
    expect(JSON.parse(data ?? '')).toMatchObject({ type: name, sequence_number: index })
  }
})

test('the same seed gives the same ids, texts and faults', async () => {
  const settings = { seed: 42, faultRate: 0.5, faultKinds: ['status=503'] }
  const run = async () => {
    const simulator = await simulate(settings)
    const answers: string[] = []
    for (let request = 0; request < 8; request++) {
      const { status, headers } = await chat(simulator)
      answers.push(`${status} ${headers['x-request-id']}`)
    }
    return answers
  }
  const first = await run()
  expect(await run()).toEqual(first)
  expect(new Set(first.map((answer) => answer.slice(0, 3)))).toEqual(new Set(['200', '503']))
})

test('headers of one request change its length, its chunks, its input and its cached tokens', async () => {
  const simulator = await simulate()
  const { body } = await chat(
    simulator,
    { stream: true, stream_options: { include_usage: true } },
    {
      'x-simulator-tokens': '10',
      'x-simulator-chunk': '5',
      'x-simulator-input': '312',
      'x-simulator-cached': '200',
    },
  )
  const events = eventsOf(body)
  expect(events).toHaveLength(1 + 2 + 1 + 1 + 1)
  const { usage } = JSON.parse(events.at(-2) ?? '')
  expect(usage).toMatchObject({
    prompt_tokens: 312,
    completion_tokens: 10,
    prompt_tokens_details: { cached_tokens: 200 },
  })
})

test('the latency and the pace of a stream are kept', async () => {
  const simulator = await simulate()
  const startedAt = performance.now()
  let firstAt = 0
  await chat(
    simulator,
    { stream: true },
    { 'x-simulator-latency': '60', 'x-simulator-tokens': '11', 'x-simulator-pace': '10' },
    () => {
      firstAt ||= performance.now()
    },
  )
  expect(firstAt - startedAt).toBeGreaterThanOrEqual(59)
  // Eleven tokens at ten a second: the last one is due a second after the first.
  expect(performance.now() - firstAt).toBeGreaterThanOrEqual(900)
})

const chatPath = '/v1/chat/completions'
const refusals: readonly (readonly [
  what: string,
  request: Parameters<typeof send>[1],
  status: number,
  code: string | null,
])[] = [
  ['no key', { path: '/v1/models', headers: { authorization: '' } }, 401, null],
  ['a key of another scheme', { path: '/v1/models', headers: { authorization: 'Basic abc' } }, 401, null],
  ['an unknown path', { path: '/v1/nothing' }, 404, 'unknown_url'],
  ['a path outside the base path', { path: '/models' }, 404, 'unknown_url'],
  ['a path that is no URL', { path: '//[' }, 404, 'unknown_url'],
  ['a method that the path does not take', { path: chatPath }, 405, 'method_not_supported'],
  ['JSON that is broken', { path: chatPath, body: '{"model":' }, 400, 'invalid_json'],
  ['JSON that is no object', { path: chatPath, body: '[]' }, 400, 'invalid_json'],
  ['an empty body', { path: chatPath, method: 'POST' }, 400, 'invalid_json'],
  ['no model', { path: chatPath, body: '{"messages":[{}]}' }, 400, 'invalid_request'],
  ['no messages', { path: chatPath, body: '{"model":"m"}' }, 400, 'invalid_request'],
  [
    'a cap of zero',
    { path: chatPath, body: '{"model":"m","messages":[{}],"max_tokens":0}' },
    400,
    'invalid_request',
  ],
  [
    'stream options without a stream',
    { path: chatPath, body: '{"model":"m","messages":[{}],"stream_options":{}}' },
    400,
    'invalid_request',
  ],
  [
    'a tool choice without that tool',
    { path: chatPath, body: '{"model":"m","messages":[{}],"tool_choice":"required"}' },
    400,
    'invalid_request',
  ],
  [
    'a fault that is unknown',
    { path: '/v1/models', headers: { 'x-simulator-fault': 'explode' } },
    400,
    'invalid_request',
  ],
  [
    'a latency that is no number',
    { path: '/v1/models', headers: { 'x-simulator-latency': 'soon' } },
    400,
    'invalid_request',
  ],
  ['a form where JSON belongs', { path: chatPath, body: '--x--' }, 400, 'invalid_json'],
  [
    'JSON where a form belongs',
    { path: '/v1/files', headers: { 'content-type': 'application/json' }, body: '{}' },
    415,
    'unsupported_media_type',
  ],
  [
    'a form that breaks off',
    {
      path: '/v1/files',
      headers: { 'content-type': 'multipart/form-data; boundary=x' },
      body: '--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nabc',
    },
    400,
    'invalid_request',
  ],
  ['a speech format named like a property of every object', speech('constructor'), 400, 'invalid_request'],
]

function speech(response_format: string): Parameters<typeof send>[1] {
  return {
    path: '/v1/audio/speech',
    body: JSON.stringify({ model: 'tts-1', voice: 'alloy', input: 'x', response_format }),
  }
}

test.each(refusals)('%s is refused in the wire shape of errors', async (_, request, status, code) => {
  const answer = await send(await simulate(), request)
  expect(answer.status).toBe(status)
  const { error } = JSON.parse(answer.body.toString())
  expect(error).toEqual({
    message: expect.any(String),
    type: 'invalid_request_error',
    param: error.param,
    code,
  })
})

test('a body above the limit is refused with 413', async () => {
  const simulator = await simulate({ maxJsonBytes: 100 })
  expect((await chat(simulator)).status).toBe(200)
  const answer = await chat(simulator, { user: 'x'.repeat(100) })
  expect(answer.status).toBe(413)
})

test('keys are not asked for where requireKey is off', async () => {
  const simulator = await simulate({ requireKey: false })
  const answer = await send(simulator, { path: '/v1/models', headers: { authorization: '' } })
  expect(answer.status).toBe(200)
})

test('HEAD is answered with the head of GET and no body', async () => {
  const simulator = await simulate()
  const get = await send(simulator, { path: '/v1/models' })
  const head = await send(simulator, { path: '/v1/models', method: 'HEAD' })
  expect(head.headers['content-length']).toBe(String(get.body.length))
  expect(head.body.length).toBe(0)
  await simulator.books.settled()
  expect(simulator.books.entries(1)[0]).toMatchObject({ method: 'HEAD', bytes: 0, completed: 'full' })
})

test('a request that no answer can be made of harms no other', async () => {
  const simulator = await simulate()
  const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`
  for (const stream of [true, false]) {
    const body = `{"model":"gpt-4o","input":"x","stream":${stream},"metadata":${deep}}`
    const answer = await send(simulator, { path: '/v1/responses', body }).catch(() => null)
    expect(answer === null || answer.status === 500 || !answer.complete).toBe(true)
  }
  expect((await chat(simulator)).status).toBe(200)
  await simulator.books.settled()
  expect(simulator.books.totals().requests).toBe(3)
})
