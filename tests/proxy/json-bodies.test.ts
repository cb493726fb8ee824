import { afterAll, expect, test } from 'vitest'
import { BufferedBytes } from '../../gateway/src/proxy/buffered-bytes.ts'
import { answerEvents, answerJson, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask, askJson, codeOf, connectTo, head } from '../support/http-client.ts'

const mebibyte = 2 ** 20
const gateway = await startTestGateway({
  LATCHKEY_MAX_JSON_BYTES: String(mebibyte),
  LATCHKEY_MAX_BUFFERED_BYTES: String(mebibyte),
})
afterAll(() => gateway.stop())

const chat = '/v1/chat/completions'

test.each([
  [
    'big integers, odd spacing and escapes',
    '{ "model" :"m",\n"seed":12345678901234567890,"x":"\\u00e9é🙂","y":1.0e+2 }\n',
  ],
  ['an empty object', '{}'],
  [
    'nested repetition, which is nobody’s business',
    '{"messages":[{"a":1,"a":2}],"metadata":{"model":"x","model":"y"}}',
  ],
  ['a body of 110 KB', `{"model":"m","input":"${'é'.repeat(55_000)}"}`],
  ['a stream that asks for its usage itself', '{"stream":true,"stream_options":{"include_usage":true}}'],
])('a body with %s reaches the provider to the byte', async (_title, body) => {
  const upstream = await startFakeUpstream(answerJson({}))
  const key = await gateway.keyFor(upstream)
  await askJson(gateway.url, chat, body, { key })
  expect(upstream.requests[0]?.body().toString()).toBe(body)
  const [record] = await gateway.records(key)
  expect(record?.requestBytes).toBe(Buffer.byteLength(body))
})

const wanted = '"include_usage":true'
test.each([
  [
    'no options',
    '{"stream":true,"seed":12345678901234567890}',
    `{"stream_options":{${wanted}},"stream":true,"seed":12345678901234567890}`,
  ],
  ['white space first', ' \n{ "stream" : true }', ` \n{"stream_options":{${wanted}}, "stream" : true }`],
  ['null', '{"stream_options" : null ,"stream":true}', `{"stream_options" : {${wanted}} ,"stream":true}`],
  [
    'an empty object',
    '{"stream":true,"stream_options":{ }}',
    `{"stream":true,"stream_options":{${wanted} }}`,
  ],
  [
    'false',
    '{"stream":true,"stream_options":{"include_usage": false }}',
    `{"stream":true,"stream_options":{"include_usage": true }}`,
  ],
  [
    'null inside',
    '{"stream":true,"stream_options":{"include_usage":null}}',
    `{"stream":true,"stream_options":{${wanted}}}`,
  ],
  [
    'other options',
    '{"stream":true,"stream_options":{"x":[1,{"include_usage":false}]}}',
    `{"stream":true,"stream_options":{${wanted},"x":[1,{"include_usage":false}]}}`,
  ],
  [
    'an escaped name',
    '{"stream":true,"stream_\\u006fptions":{"x":1}}',
    `{"stream":true,"stream_\\u006fptions":{${wanted},"x":1}}`,
  ],
  [
    'a decoy in a text',
    '{"m":"\\"stream_options\\":null","stream":true}',
    `{"stream_options":{${wanted}},"m":"\\"stream_options\\":null","stream":true}`,
  ],
])(
  'usage is asked for where the client’s stream options are %s, and no other byte changes',
  async (_title, body, sent) => {
    const usage = { prompt_tokens: 7, completion_tokens: 9 }
    const events = [
      'data: {"choices":[{}],"usage":null}\n\n',
      `data: ${JSON.stringify({ choices: [], usage })}\n\n`,
    ]
    const upstream = await startFakeUpstream(answerEvents(events))
    const key = await gateway.keyFor(upstream)
    const answer = await askJson(gateway.url, chat, body, { key })
    expect(upstream.requests[0]?.body().toString()).toBe(sent)
    expect(upstream.requests[0]?.headers['content-length']).toBe(String(Buffer.byteLength(sent)))
    expect(answer.body.toString()).toBe(events[0])
    const [record] = await gateway.records(key)
    expect(record).toMatchObject({ inputTokens: 7, outputTokens: 9, requestBytes: Buffer.byteLength(body) })
  },
)

test.each([
  ['a stream of a response', '/v1/responses', '{"stream":true}'],
  ['no stream', chat, '{"stream":false}'],
  ['a stream that is no boolean', chat, '{"stream":"true"}'],
  ['options that the provider must judge', chat, '{"stream":true,"stream_options":"x"}'],
  ['an endpoint that we only pass through', '/v1/things', '{"stream":true}'],
])('usage is not asked for in %s', async (_title, target, body) => {
  const upstream = await startFakeUpstream(answerJson({}))
  await askJson(gateway.url, target, body, { key: await gateway.keyFor(upstream) })
  expect(upstream.requests[0]?.body().toString()).toBe(body)
})

test.each([
  ['{"model":"a","model":"b"}', 'model'],
  ['{"model":"a","messages":[],"mod\\u0065l":"b"}', 'model'],
  ['{"\\u006d\\u006f\\u0064\\u0065\\u006c":"a","model":"b"}', 'model'],
  ['{"stream":true,"stream":false}', 'stream'],
  ['{"tools":[],"tools":[]}', 'tools'],
  ['{"prompt":"a","prompt":{"id":"b"}}', 'prompt'],
  [
    '{"stream":true,"stream_options":{"include_usage":false,"include_usage":true}}',
    'stream_options.include_usage',
  ],
  ['{"tools":[{"type":"a"},{"type":"image_generation","model":"a","model":"b"}]}', 'tools[1]'],
  ['{"max_tokens":1,"max_tokens":100000}', 'max_tokens'],
  ['{"max_output_tokens":1,"messages":[],"max_output\\u005ftokens":9}', 'max_output_tokens'],
  ['{"n":1,"N":100}', 'N'],
])('a field that is read and stands twice is a 400 that names it: %s', async (body, param) => {
  const upstream = await startFakeUpstream(answerJson({}))
  const key = await gateway.keyFor(upstream)
  const answer = await askJson(gateway.url, chat, body, { key })
  expect(answer.status).toBe(400)
  expect(JSON.parse(answer.body.toString())).toMatchObject({ error: { code: 'invalid_request', param } })
  expect(upstream.requests).toHaveLength(0)
  expect(await gateway.records(key)).toMatchObject([{ status: 400, code: 'invalid_request', attempts: 0 }])
})

test.each(['{', ' ', '[]', '"text"', 'null', '{"a":1}}', "{'a':1}", '\ufeff{}', '{"a":NaN}'])(
  'a body that is no JSON object is a 400: %j',
  async (body) => {
    const upstream = await startFakeUpstream(answerJson({}))
    const key = await gateway.keyFor(upstream)
    const answer = await askJson(gateway.url, chat, body, { key })
    expect([answer.status, codeOf(answer)]).toEqual([400, 'invalid_json'])
    expect(upstream.requests).toHaveLength(0)
  },
)

test.each([
  ['values', `{"model":"m","tools":[${'0,'.repeat(500_000)}0]}`],
  ['levels', `{"model":"m","a":${'['.repeat(1_000)}${']'.repeat(1_000)}}`],
])('a body of more %s than a parser should build is a 400 that says how many may be', async (_what, body) => {
  const upstream = await startFakeUpstream(answerJson({}))
  const answer = await askJson(gateway.url, chat, body, { key: await gateway.keyFor(upstream) })
  expect(answer.status).toBe(400)
  expect(JSON.parse(answer.body.toString())).toMatchObject({
    error: { code: 'invalid_request', details: { max_values: 500_000, max_depth: 1_000 } },
  })
  expect(upstream.requests).toHaveLength(0)
})

test('what the values of a body take in memory counts, too, and is given back', async () => {
  const upstream = await startFakeUpstream(answerJson({}))
  const key = await gateway.keyFor(upstream)
  const many = await askJson(gateway.url, chat, `{"a":[${'{},'.repeat(20_000)}0]}`, { key })
  expect([many.status, codeOf(many)]).toEqual([503, 'overloaded'])
  const few = `{"a":[${'{},'.repeat(5_000)}0]}`
  for (let round = 0; round < 4; round++)
    expect((await askJson(gateway.url, chat, few, { key })).status).toBe(200)
})

test('a body that arrives in chunks of one byte reaches the provider whole', async () => {
  const upstream = await startFakeUpstream(answerJson({ fine: true }))
  const key = await gateway.keyFor(upstream)
  const body = `{"model":"m","input":"${'é'.repeat(20_000)}"}`
  const { socket, until } = connectTo(gateway.url)
  const headers = { 'transfer-encoding': 'chunked', 'content-type': 'application/json' }
  socket.write(head('POST', chat, { authorization: `Bearer ${key.token}`, ...headers }))
  const bytes = Buffer.from(body)
  socket.write(Buffer.concat([...bytes].map((byte) => Buffer.from([0x31, 13, 10, byte, 13, 10]))))
  socket.write('0\r\n\r\n')
  expect(await until('{"fine":true}')).toMatch(/^HTTP\/1.1 200 /)
  expect(upstream.requests[0]?.body().equals(bytes)).toBe(true)
})

test('a body that is larger than allowed is a 413, announced or not, and reaches no provider', async () => {
  const upstream = await startFakeUpstream(answerJson({}))
  const key = await gateway.keyFor(upstream)
  const body = `{"a":"${'x'.repeat(mebibyte)}"}`
  const announced = await askJson(gateway.url, chat, body, { key })
  const headers = { 'transfer-encoding': 'chunked', 'content-type': 'application/json' }
  const { socket, until } = connectTo(gateway.url)
  socket.write(head('POST', chat, { authorization: `Bearer ${key.token}`, ...headers }))
  socket.write(`${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`)
  expect(await until('body_too_large')).toMatch(/^HTTP\/1.1 413 /)
  expect([announced.status, codeOf(announced)]).toEqual([413, 'body_too_large'])
  expect(upstream.requests).toHaveLength(0)
  expect(await gateway.records(key, 2)).toMatchObject([{ status: 413 }, { status: 413 }])
})

test('bodies over all requests are bounded: what does not fit is a 503, and fits once others are done', async () => {
  const goOn = Promise.withResolvers<void>()
  const upstream = await startFakeUpstream(async (exchange) => {
    await goOn.promise
    await answerJson({})(exchange)
  })
  const key = await gateway.keyFor(upstream)
  const body = `{"a":"${'x'.repeat(600_000)}"}`
  const arrived = upstream.next()
  const first = askJson(gateway.url, chat, body, { key })
  await arrived
  const second = await askJson(gateway.url, chat, body, { key })
  expect([second.status, codeOf(second), second.headers['retry-after']]).toEqual([503, 'overloaded', '1'])
  expect((await askJson(gateway.url, chat, '{"model":"small","model":"small"}', { key })).status).toBe(400)
  goOn.resolve()
  expect((await first).status).toBe(200)
  for (let round = 0; round < 3; round++)
    expect((await askJson(gateway.url, chat, body, { key })).status).toBe(200)
})

test('a key holds no more than its part of the memory for bodies', () => {
  const bytes = new BufferedBytes(400, 50)
  const [mine, alsoMine, other] = [bytes.open('a'), bytes.open('a'), bytes.open('b')]
  expect([mine.take(60), alsoMine.take(40), alsoMine.take(1), other.take(100)]).toEqual([
    true,
    true,
    false,
    true,
  ])
  mine.close()
  expect(bytes.held).toBe(140)
  expect(alsoMine.take(60)).toBe(true)
  for (const share of [mine, alsoMine, other]) share.close()
  expect(bytes.held).toBe(0)
})

test.each([
  ['a list of models that can’t be made a text', '{"toString":0,"valueOf":0}'],
  ['a list of models that is nested deeply', `${'['.repeat(990)}${']'.repeat(990)}`],
])('%s passes, refused for a limited key, and leaves no memory behind', async (_title, models) => {
  const upstream = await startFakeUpstream(answerJson({}))
  const [free, limited] = [await gateway.keyFor(upstream), await gateway.keyFor(upstream, { models: ['m'] })]
  const body = `{"model":"m","models":${models},"a":"${'x'.repeat(400_000)}"}`
  for (let round = 0; round < 4; round++) {
    expect((await askJson(gateway.url, chat, body, { key: free })).status).toBe(200)
    expect(codeOf(await askJson(gateway.url, chat, body, { key: limited }))).toBe('model_not_allowed')
  }
})

test.each([
  ['text/plain', {}],
  ['application/octet-stream', {}],
  ['', {}],
  ['application/json', { 'content-encoding': 'gzip' }],
])('a key with a model list must send what its model can be read from: %s is a 415', async (type, more) => {
  const upstream = await startFakeUpstream(answerJson({}))
  const limited = await gateway.keyFor(upstream, { models: ['m'] })
  const headers = { ...(type === '' ? {} : { 'content-type': type }), ...more }
  const body = '{"model":"m"}'
  const refused = await ask(gateway.url, chat, { key: limited, headers, body })
  expect([refused.status, codeOf(refused)]).toEqual([415, 'unsupported_media_type'])
  expect(upstream.requests).toHaveLength(0)
  const free = await gateway.keyFor(upstream)
  expect((await ask(gateway.url, chat, { key: free, headers, body })).status).toBe(200)
  expect(upstream.requests[0]?.body().toString()).toBe(body)
})

test.each([
  ['its model', '{"model":"other"}'],
  ['a model that differs in case', '{"model":"M"}'],
  ['no model', '{}'],
  ['a model that is no text', '{"model":["m"]}'],
  ['a tool’s model', '{"model":"m","tools":[{"type":"image_generation","model":"other"}]}'],
  ['the model that a tool has by default', '{"model":"m","tools":[{"type":"image_generation"}]}'],
  ['a fallback', '{"model":"m","models":["m","other"]}'],
  ['a stored prompt', '{"model":"m","prompt":{"id":"pmpt_1"}}'],
])('a key with a model list is refused for %s', async (_title, body) => {
  const upstream = await startFakeUpstream(answerJson({}))
  const key = await gateway.keyFor(upstream, { models: ['m', 'gpt-4o*'] })
  const answer = await askJson(gateway.url, '/v1/responses', body, { key })
  expect([answer.status, codeOf(answer)]).toEqual([403, 'model_not_allowed'])
  expect(upstream.requests).toHaveLength(0)
  expect((await askJson(gateway.url, '/v1/responses', '{"model":"gpt-4o-mini"}', { key })).status).toBe(200)
})
