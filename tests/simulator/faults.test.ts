import { expect, test } from 'vitest'
import { noFaults, parseFaults } from '../../gateway/src/simulator/faults.ts'
import { chat, eventsOf, send, simulate } from './simulated.ts'

const fault = (spelling: string) => ({ 'x-simulator-fault': spelling })
const withUsage = { stream: true, stream_options: { include_usage: true } }

test('status= answers with that error, and retry-after with that header', async () => {
  const simulator = await simulate()
  const answer = await chat(simulator, {}, fault('status=429; retry-after=7'))
  expect([answer.status, answer.headers['retry-after']]).toEqual([429, '7'])
  await simulator.books.settled()
  expect(simulator.books.totals()).toMatchObject({ completed: { fault: 1 }, billed: { requests: 0 } })
})

test('cut=n closes the stream after n events without ending it, and bills what was generated', async () => {
  const simulator = await simulate()
  const answer = await chat(simulator, withUsage, fault('cut=4'))
  expect(eventsOf(answer.body)).toHaveLength(4)
  expect([answer.complete, answer.error]).toEqual([false, 'ECONNRESET'])
  await simulator.books.settled()
  const [entry] = simulator.books.entries(1)
  // The first event names the role, the other three have a token each.
  expect(entry).toMatchObject({
    completed: 'cut',
    status: 200,
    bytes: answer.body.length,
    reported: null,
    billed: { inputTokens: 3, outputTokens: 3 },
  })
})

test.each([0, 1, 100, 777])('cut=%ibytes closes any body after that many bytes', async (bytes) => {
  const simulator = await simulate()
  for (const fields of [{}, { stream: true }]) {
    const answer = await chat(
      simulator,
      { ...fields, max_tokens: 99 },
      {
        ...fault(`cut=${bytes}bytes`),
        'x-simulator-tokens': '300',
      },
    )
    expect([answer.status, answer.body.length, answer.complete]).toEqual([200, bytes, false])
  }
  await simulator.books.settled()
  expect(simulator.books.totals()).toMatchObject({ completed: { cut: 2 }, bytes: 2 * bytes })
})

test('a cut that lies behind the end leaves the answer whole', async () => {
  const simulator = await simulate()
  const answer = await chat(simulator, { stream: true }, fault('cut=1000'))
  expect(answer.complete).toBe(true)
  expect(eventsOf(answer.body).at(-1)).toBe('[DONE]')
})

test('reset-before-headers ends the connection before any status', async () => {
  const simulator = await simulate()
  await expect(chat(simulator, {}, fault('reset-before-headers'))).rejects.toMatchObject({
    code: 'ECONNRESET',
  })
  await simulator.books.settled()
  expect(simulator.books.entries(1)[0]).toMatchObject({ status: null, completed: 'fault', billed: null })
})

test('reset ends the connection within the body', async () => {
  const simulator = await simulate()
  for (const fields of [{}, { stream: true }]) {
    const answer = await chat(simulator, fields, fault('reset'))
    expect([answer.status, answer.complete, answer.error]).toEqual([200, false, 'ECONNRESET'])
  }
})

test('hang sends the first part of the body and nothing more until the client leaves', async () => {
  const simulator = await simulate()
  const answer = await chat(simulator, { stream: true }, fault('hang'), (_, leave) => leave())
  expect(eventsOf(answer.body)).toHaveLength(1)
  await simulator.books.settled()
  expect(simulator.books.entries(1)[0]).toMatchObject({ completed: 'cut', billed: { outputTokens: 0 } })
})

test('hang-headers reads the request and never answers', async () => {
  const simulator = await simulate()
  const answer = chat(simulator, {}, fault('hang-headers'))
  const refused = expect(answer).rejects.toThrow('socket hang up')
  await expect.poll(() => simulator.books.totals().inFlight).toBe(1)
  simulator.server.closeAllConnections()
  await refused
  await simulator.books.settled()
  expect(simulator.books.entries(1)[0]).toMatchObject({ status: null, completed: 'fault' })
})

test('omit-usage states no usage anywhere, and the books bill it all the same', async () => {
  const simulator = await simulate()
  for (const fields of [{}, withUsage])
    expect((await chat(simulator, fields, fault('omit-usage'))).body.toString()).not.toContain('usage')
  await simulator.books.settled()
  const { reported, billed } = simulator.books.totals()
  expect([reported.requests, billed.usage.outputTokens]).toEqual([0, 100])
})

test('lie-usage= states and bills that many output tokens', async () => {
  const simulator = await simulate()
  const answer = await chat(simulator, {}, fault('lie-usage=12345'))
  expect(JSON.parse(answer.body.toString()).usage.completion_tokens).toBe(12_345)
  await simulator.books.settled()
  const { reported, billed } = simulator.books.totals()
  expect([reported.usage.outputTokens, billed.usage.outputTokens]).toEqual([12_345, 12_345])
})

test('ignore-cap writes on beyond the cap', async () => {
  const answer = await chat(await simulate(), { max_tokens: 5 }, fault('ignore-cap'))
  const { usage, choices } = JSON.parse(answer.body.toString())
  expect([usage.completion_tokens, choices[0].finish_reason]).toEqual([50, 'stop'])
})

test('slow= pauses before each event', async () => {
  const startedAt = performance.now()
  const answer = await chat(await simulate({ tokens: 3 }), { stream: true }, fault('slow=10'))
  expect(eventsOf(answer.body)).toHaveLength(6)
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(55)
})

test('trickle sends the same bytes one at a time', async () => {
  const simulator = await simulate({ tokens: 3 })
  const sizes: number[] = []
  const answer = await chat(simulator, withUsage, fault('trickle'), (chunk) => sizes.push(chunk.length))
  expect(answer.complete).toBe(true)
  expect(sizes.length).toBeGreaterThan(answer.body.length / 2)
  expect(eventsOf(answer.body)).toHaveLength(1 + 3 + 1 + 1 + 1)
})

test('first=n hits the first n requests with that very header and no later one', async () => {
  const simulator = await simulate()
  const statuses = async (spelling: string) => [
    (await chat(simulator, {}, fault(spelling))).status,
    (await chat(simulator, {}, fault(spelling))).status,
  ]
  expect(await statuses('status=500;first=1')).toEqual([500, 200])
  expect(await statuses('status=502;first=1')).toEqual([502, 200])
  expect(await statuses('status=500')).toEqual([500, 500])
})

test('a rate of 1 breaks every request, and a header of no fault spares one', async () => {
  const simulator = await simulate({ faultRate: 1, faultKinds: ['status=503'] })
  expect((await chat(simulator)).status).toBe(503)
  expect((await chat(simulator, {}, fault('status=500;first=1'))).status).toBe(500)
  expect((await chat(simulator, {}, fault('status=500;first=1'))).status).toBe(200)
})

test('faults break binary bodies too', async () => {
  const simulator = await simulate()
  const answer = await send(simulator, {
    path: '/v1/audio/speech',
    headers: fault('cut=1000bytes'),
    body: JSON.stringify({ model: 'tts-1', voice: 'alloy', input: 'Hello, hello!' }),
  })
  expect([answer.body.length, answer.complete]).toEqual([1000, false])
})

test('directives are combined in any order', () => {
  expect(parseFaults('omit-usage;cut=3;ignore-cap')).toEqual({
    ...noFaults,
    breakage: { kind: 'cut', after: 3, unit: 'events' },
    usage: { kind: 'omitted' },
    ignoresCap: true,
  })
  expect(parseFaults('retry-after=2;status=503;first=4')).toEqual({
    ...noFaults,
    breakage: { kind: 'status', status: 503, retryAfterSeconds: 2 },
    first: 4,
  })
})

test.each([
  '',
  'nothing',
  'status',
  'status=200',
  'status=600',
  'status=4e2',
  'status=0x1f4',
  'status=500;status=503',
  'hang;reset',
  'hang=1',
  'cut',
  'cut=-1',
  'cut=3events',
  'retry-after=1',
  'retry-after=1;hang',
  'lie-usage=',
  'first=0',
  'slow=1.5',
  'omit-usage;',
  'constructor',
])('the fault "%s" is refused', (spelling) => {
  expect(() => parseFaults(spelling)).toThrowError(
    expect.objectContaining({ code: 'invalid_request', param: 'x-simulator-fault' }),
  )
})
