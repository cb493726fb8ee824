import { type RequestBodiesWire, requestBodiesWire, requestDetailWire } from '@latchkey/shared'
import { Redis } from 'ioredis'
import { afterAll, expect, inject, onTestFinished, test } from 'vitest'
import { filesBelow, findCanaries, newSecret } from '../security/canary.ts'
import {
  answerEvents,
  answerJson,
  event,
  startFakeUpstream,
  type UpstreamHandler,
} from '../support/fake-upstream.ts'
import { startTestGateway, type TestKey, type TestKeyOptions } from '../support/gateway.ts'
import { ask, askJson, type HttpAnswer } from '../support/http-client.ts'

const gateway = await startTestGateway()
afterAll(() => gateway.stop())

const chat = '/v1/chat/completions'
const body = { model: 'gpt-5-nano', messages: [{ role: 'user', content: 'What is a latch?' }] }
const completion = {
  choices: [{ message: { content: 'A fastening.' } }],
  usage: { prompt_tokens: 4, completion_tokens: 2 },
}

async function start(
  options: TestKeyOptions = { capture: true },
  handler: UpstreamHandler = answerJson(completion),
) {
  const upstream = await startFakeUpstream(handler)
  return { upstream, key: await gateway.keyFor(upstream, options) }
}

function admin(path: string): Promise<HttpAnswer> {
  return ask(gateway.adminUrl, path, { headers: { authorization: `Bearer ${gateway.adminToken}` } })
}

/** The bodies of an answered request, once those that are to be kept are. */
async function bodiesOf(answer: HttpAnswer, kept: readonly string[]): Promise<RequestBodiesWire> {
  const path = `/api/requests/${answer.headers['latchkey-request-id']}`
  await expect
    .poll(async () => {
      const { status, body: found } = await admin(path)
      return status === 200 && requestDetailWire.parse(JSON.parse(found.toString())).bodies
    })
    .toEqual(kept)
  return requestBodiesWire.parse(JSON.parse((await admin(`${path}/bodies`)).body.toString()))
}

async function send(key: TestKey, headers: Readonly<Record<string, string>> = {}, sent: unknown = body) {
  return askJson(gateway.url, chat, sent, { key, headers })
}

test('no body is kept of a key that does not say so', async () => {
  const { key } = await start({})
  const { key: capturing } = await start()
  const silent = await send(key)
  // Written after it, so that one of the other would have been written, too.
  await bodiesOf(await send(capturing), ['request', 'response'])
  expect(await bodiesOf(silent, [])).toEqual({ request: null, response: null })
})

test('what was asked and answered is kept as it passed', async () => {
  const { key } = await start()
  const answer = await send(key)
  expect(await bodiesOf(answer, ['request', 'response'])).toEqual({
    request: {
      mediaType: 'application/json',
      bytes: JSON.stringify(body).length,
      truncated: false,
      text: JSON.stringify(body),
    },
    response: {
      mediaType: 'application/json',
      bytes: JSON.stringify(completion).length,
      truncated: false,
      text: JSON.stringify(completion),
    },
  })
})

test('a group may say so for all of its keys', async () => {
  const created = await gateway.vault.groups.create({
    organizationId: gateway.vault.defaultOrganizationId,
    name: 'kept',
    description: '',
    limits: [],
    capture: true,
  })
  if (created.kind !== 'created') throw new Error(created.kind)
  const { key } = await start({ group: created.group.id })
  await bodiesOf(await send(key), ['request', 'response'])
})

test.each([
  [{ 'latchkey-omit-request': 'true' }, ['response']],
  [{ 'helicone-omit-response': 'true' }, ['request']],
  [{ 'Helicone-Omit-Request': '1', 'latchkey-omit-response': 'yes' }, []],
  [{ 'latchkey-omit-request': 'false' }, ['request', 'response']],
])('what a client wants omitted is not kept, whatever the key says: %j', async (headers, kept) => {
  const { key, upstream } = await start()
  const answer = await send(key, headers)
  expect(answer.status).toBe(200)
  await bodiesOf(await send(key), ['request', 'response'])
  await bodiesOf(answer, kept)
  expect(Object.keys(upstream.requests[0]?.headers ?? {}).join()).not.toContain('omit')
})

test('an event stream is kept as its bytes, up to 256 KiB, and passes whole', async () => {
  const events = Array.from({ length: 4_000 }, (_, index) =>
    event({ choices: [{ delta: { content: `word ${index} ${'.'.repeat(80)}` } }] }),
  )
  const { key } = await start({ capture: true }, answerEvents(events))
  const answer = await send(key, {}, { ...body, stream: true })
  const whole = events.join('')
  expect(answer.body.toString()).toBe(whole)
  const { response } = await bodiesOf(answer, ['request', 'response'])
  expect(response).toMatchObject({ mediaType: 'text/event-stream', bytes: whole.length, truncated: true })
  expect(response?.text?.length).toBeGreaterThan(256 * 1024 - 200)
  expect(whole.startsWith(response?.text ?? 'nothing')).toBe(true)
})

test('of media only type and length are kept; of a form its text fields', async () => {
  const speech = Buffer.alloc(5_000, 7)
  const { key } = await start({ capture: true }, async ({ request, response }) => {
    await request.whole()
    response.writeHead(200, { 'content-type': 'audio/mpeg' }).end(speech)
  })
  const form = new FormData()
  form.set('model', 'whisper-1')
  form.set('prompt', 'names: Ada; api_key=none')
  form.set('password', 'hunter22')
  form.set('file', new Blob(['RIFF canary of a recording']), 'a.wav')
  const encoded = new Response(form)
  const upload = Buffer.from(await encoded.arrayBuffer())
  const answer = await ask(gateway.url, '/v1/audio/transcriptions', {
    key,
    headers: { 'content-type': encoded.headers.get('content-type') ?? '' },
    body: upload,
  })
  expect(await bodiesOf(answer, ['request', 'response'])).toEqual({
    request: {
      mediaType: 'multipart/form-data',
      bytes: upload.length,
      truncated: false,
      text: '{"model":"whisper-1","prompt":"names: Ada; api_key=none","password":"[redacted]"}',
    },
    response: { mediaType: 'audio/mpeg', bytes: 5_000, truncated: false, text: null },
  })
})

test('of several attempts the answer is kept that the client got', async () => {
  const failing = await startFakeUpstream(answerJson({ error: 'overloaded for now' }, 503))
  const sound = await startFakeUpstream(answerJson(completion))
  const key = await gateway.keyFor([failing, sound], { capture: true })
  const { response } = await bodiesOf(await send(key), ['request', 'response'])
  expect(response?.text).toBe(JSON.stringify(completion))
  failing.handle(({ socket }) => socket.destroy())
  sound.handle(({ socket }) => socket.destroy())
  const failed = await send(key)
  expect(failed.status).toBe(502)
  await bodiesOf(failed, ['request'])
})

test('of a request that its budget refuses nothing is kept', async () => {
  const upstream = await startFakeUpstream(answerJson(completion))
  const key = await gateway.keyFor(
    { baseUrl: upstream.baseUrl, provider: 'openai' },
    { capture: true, budgets: [{ period: 'total', limitUsd: '0.000001' }] },
  )
  const refused = await send(key, {}, { ...body, max_completion_tokens: 1_000 })
  expect(refused.status).toBe(429)
  expect(upstream.requests).toEqual([])
  const { key: another } = await start()
  // Written after it, so that one of the other would have been written, too.
  await bodiesOf(await send(another), ['request', 'response'])
  expect(await bodiesOf(refused, [])).toEqual({ request: null, response: null })
})

test('reading bodies is in the log, with the request and nothing of them', async () => {
  const { key } = await start()
  const answer = await send(key)
  await bodiesOf(answer, ['request', 'response'])
  const read = gateway.log.events.filter((each) => each.event === 'request.bodies_read')
  expect(read.at(-1)?.fields).toEqual({ requestId: answer.headers['latchkey-request-id'] })
  for (const id of ['nobody', '00000000-0000-7000-8000-000000000000'])
    for (const path of [`/api/requests/${id}`, `/api/requests/${id}/bodies`])
      expect((await admin(path)).status).toBe(404)
})

test('a secret in a body is nowhere in the clear, and one with the shape of a key is not even sealed', async () => {
  const servers = inject('sharedServers')
  const commands: string[] = []
  if (servers?.redis.kind === 'there') {
    const redis = new Redis(servers.redis.url)
    const monitor = await redis.monitor()
    monitor.on('monitor', (_at: string, command: readonly string[]) => commands.push(command.join(' ')))
    onTestFinished(() => {
      monitor.disconnect()
      redis.disconnect()
    })
  }
  const [asked, answered] = [newSecret(), newSecret()]
  const shaped = `sk-proj-${newSecret()}`
  const upstream = await startFakeUpstream(answerJson({ answer: answered, echo: shaped }))
  const key = await gateway.keyFor(upstream, { capture: true })
  const answer = await askJson(gateway.url, chat, { ...body, user: `${asked} ${shaped}` }, { key })
  const path = `/api/requests/${answer.headers['latchkey-request-id']}/bodies`
  await expect.poll(async () => (await admin(path)).body.toString()).toContain(answered)
  const read = (await admin(path)).body.toString()
  expect(read).toContain(asked)
  expect(read).not.toContain(shaped)
  const canaries = [asked, answered, shaped].map((secret) => ({ name: secret, bytes: Buffer.from(secret) }))
  const places = [
    ...filesBelow(gateway.dataDirectory),
    ['the log', JSON.stringify(gateway.log.events)] as const,
    ['Redis', commands.join('\n')] as const,
  ]
  expect(findCanaries(canaries, places)).toEqual([])
  if (servers === undefined) expect(places.some(([place]) => place.includes('postgres'))).toBe(true)
  else expect(commands.length).toBeGreaterThan(0)
})

test('sealed, the vault gives no body; unsealed, it gives them again', async () => {
  const upstream = await startFakeUpstream(answerJson(completion))
  const key = await gateway.keyFor(upstream, { capture: true })
  const answer = await askJson(gateway.url, chat, body, { key })
  const path = `/api/requests/${answer.headers['latchkey-request-id']}/bodies`
  await expect.poll(async () => (await admin(path)).body.toString()).toContain('fastening')
  onTestFinished(() => gateway.vault.unseal())
  await gateway.vault.seal()
  const refused = await admin(path)
  expect(JSON.parse(refused.body.toString())).toMatchObject({ error: { code: 'vault_sealed' } })
  await gateway.vault.unseal()
  expect((await admin(path)).body.toString()).toContain('fastening')
})
