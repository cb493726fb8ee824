import { randomBytes } from 'node:crypto'
import OpenAI, { toFile } from 'openai'
import { afterAll, expect, test } from 'vitest'
import { answerJson, type FakeUpstream, startFakeUpstream } from '../support/fake-upstream.ts'
import { startTestGateway } from '../support/gateway.ts'
import { ask, codeOf, connectTo, head, sdk } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const target = '/v1/audio/transcriptions'
const boundary = 'x-boundary'
const type = `multipart/form-data; boundary=${boundary}`
const fine = answerJson({ text: 'hi', usage: { input_tokens: 7, output_tokens: 9 } })

function part(name: string, content: string | Buffer, more = ''): Buffer {
  const line = `--${boundary}\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n`
  return Buffer.concat([Buffer.from(line), Buffer.from(content), Buffer.from('\r\n')])
}

function form(...parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat([...parts.map((each) => Buffer.from(each)), Buffer.from(`--${boundary}--\r\n`)])
}

const sound = part('file', randomBytes(200_000), '; filename="a.mp3"')
const model = (name: string) => part('model', name)

/** Whether any request of the upstream has arrived whole. Its connections must have ended. */
async function arrivedWhole(upstream: FakeUpstream): Promise<boolean> {
  const ends = upstream.requests.map((request) =>
    request.whole().then(
      () => true,
      () => false,
    ),
  )
  return (await Promise.all(ends)).includes(true)
}

test.each([
  ['before the file', form(model('whisper-1'), sound)],
  ['after the file', form(sound, model('whisper-1'))],
])(
  'a form whose model stands %s reaches the provider to the byte, and its model is recorded',
  async (_title, body) => {
    const upstream = await startFakeUpstream(fine)
    const limited = await gateway.keyFor(upstream, { models: ['whisper*'] })
    const answer = await ask(gateway.url, target, { key: limited, headers: { 'content-type': type }, body })
    expect(answer.status).toBe(200)
    expect(upstream.requests[0]?.body().equals(body)).toBe(true)
    const [record] = await gateway.records(limited)
    expect(record).toMatchObject({ model: 'whisper-1', requestBytes: body.length, inputTokens: 7 })
  },
)

test('a form that arrives byte by byte is read all the same', async () => {
  const upstream = await startFakeUpstream(fine)
  const key = await gateway.keyFor(upstream, { models: ['whisper-1'] })
  const body = form(part('file', 'ab\r\n--x-bound\r\n\r', '; filename="a"'), model('whisper-1'))
  const { socket, until } = connectTo(gateway.url)
  socket.setNoDelay(true)
  const authorization = `Bearer ${key.token}`
  socket.write(head('POST', target, { authorization, 'content-type': type, 'content-length': body.length }))
  for (const byte of body) {
    await new Promise((resolve) => socket.write(Buffer.from([byte]), resolve))
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(await until('"hi"')).toMatch(/^HTTP\/1.1 200 /)
  expect(upstream.requests[0]?.body().equals(body)).toBe(true)
})

test.each([
  ['before the file', form(model('gpt-4o'), sound)],
  ['after the file', form(sound, model('gpt-4o'))],
  ['nowhere', form(sound)],
])(
  'a model that is not allowed and stands %s is a 403, and no provider gets a whole form',
  async (_title, body) => {
    const upstream = await startFakeUpstream(fine)
    const key = await gateway.keyFor(upstream, { models: ['whisper-1'] })
    const answer = await ask(gateway.url, target, { key, headers: { 'content-type': type }, body })
    expect([answer.status, codeOf(answer)]).toEqual([403, 'model_not_allowed'])
    expect(await arrivedWhole(upstream)).toBe(false)
    const records = await gateway.records(key)
    expect(records).toMatchObject([{ status: 403, code: 'model_not_allowed', attempts: 1 }])
  },
)

const lf = (bytes: Buffer) => bytes.toString('latin1').replaceAll('\r\n', '\n')

test.each([
  ['two models', form(model('whisper-1'), sound, model('gpt-4o'))],
  ['the same model twice', form(model('whisper-1'), model('whisper-1'))],
  ['a model as a file', form(part('model', 'whisper-1', '; filename="m"'))],
  ['a model by another name, that a lax parser takes', form(model('whisper-1'), part('MODEL', 'gpt-4o'))],
  ['two names in one part', form(part('x', 'gpt-4o', '; name="model"'), model('whisper-1'))],
  ['an extended name', form(model('whisper-1'), part('x', 'gpt-4o', "; name*=utf-8''model"))],
  ['line ends of LF', Buffer.from(lf(form(model('whisper-1'))), 'latin1')],
  ['a delimiter after a bare LF', form(model('whisper-1'), Buffer.from('\n'), model('gpt-4o'))],
  ['a preamble', Buffer.concat([Buffer.from('hello\r\n'), form(model('whisper-1'))])],
  ['no closing boundary', Buffer.concat([model('whisper-1'), sound])],
  ['a part without headers', form(Buffer.from(`--${boundary}\r\n`), model('whisper-1'))],
  ['a model of 2 KB', form(model('whisper-1'.padEnd(2_000, 'x')))],
  [
    'an encoded model',
    form(
      `--${boundary}\r\ncontent-disposition: form-data; name="model"\r\ncontent-transfer-encoding: base64\r\n\r\nd2hpc3Blci0x\r\n`,
    ),
  ],
])(
  'of a key with a model list, a form with %s is refused, and no provider gets it whole',
  async (_title, body) => {
    const upstream = await startFakeUpstream(fine)
    const key = await gateway.keyFor(upstream, { models: ['whisper-1*'] })
    const answer = await ask(gateway.url, target, { key, headers: { 'content-type': type }, body })
    expect([400, 403]).toContain(answer.status)
    expect(await arrivedWhole(upstream)).toBe(false)
  },
)

test.each([
  'multipart/form-data',
  'multipart/form-data; boundary=',
  'multipart/form-data; boundary=a; boundary=b',
  "multipart/form-data; boundary=a; boundary*=utf-8''b",
  `multipart/form-data; boundary=${'b'.repeat(71)}`,
])('a form of a key with a model list must have one boundary: %s', async (contentType) => {
  const upstream = await startFakeUpstream(fine)
  const key = await gateway.keyFor(upstream, { models: ['whisper-1'] })
  const headers = { 'content-type': contentType }
  const answer = await ask(gateway.url, target, { key, headers, body: form(model('whisper-1')) })
  expect([answer.status, codeOf(answer)]).toEqual([400, 'invalid_request'])
  expect(upstream.requests).toHaveLength(0)
})

test('what a key without a model list sends passes as it is, however odd', async () => {
  const upstream = await startFakeUpstream(fine)
  const key = await gateway.keyFor(upstream)
  const bodies = ['not a form at all', lf(form(model('a'), model('b'))), '--x-boundary', '\r\n--x-boundary--']
  for (const [index, body] of bodies.entries()) {
    const answer = await ask(gateway.url, target, { key, headers: { 'content-type': type }, body })
    expect(answer.status).toBe(200)
    expect(upstream.requests[index]?.body().toString()).toBe(body)
  }
})

test('the SDK raises a PermissionDeniedError for an upload with a model that is not allowed', async () => {
  const upstream = await startFakeUpstream(fine)
  const client = sdk(gateway, await gateway.keyFor(upstream, { models: ['whisper-1'] }))
  const upload = async (name: string) =>
    client.audio.transcriptions.create({ model: name, file: await toFile(randomBytes(3_000_000), 'a.mp3') })
  expect((await upload('whisper-1')).text).toBe('hi')
  await expect(upload('gpt-4o-transcribe')).rejects.toThrow(OpenAI.PermissionDeniedError)
})
