import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { Books, type Entry, otherModels } from '../../gateway/src/simulator/books.ts'
import { usageOf } from '../../gateway/src/simulator/usage.ts'
import { chat, send, simulate } from './simulated.ts'

const entry: Entry = {
  id: 'req_0',
  at: 0,
  durationMs: 1,
  method: 'POST',
  path: '/v1/chat/completions',
  model: 'gpt-4o',
  keyFingerprint: null,
  stream: false,
  status: 200,
  completed: 'full',
  bytes: 10,
  reported: usageOf({ inputTokens: 1, outputTokens: 2 }),
  billed: usageOf({ inputTokens: 1, outputTokens: 2 }),
}

function written(books: Books, entries: readonly Entry[]): Books {
  for (const one of entries) {
    books.open()
    books.close(one)
  }
  return books
}

test('an entry says what was asked and what was answered, and never the key', async () => {
  const simulator = await simulate()
  const key = 'sk-canary-0123456789'
  const answer = await chat(simulator, { stream: true }, { authorization: `Bearer ${key}` })
  await simulator.books.settled()
  expect(simulator.books.entries(10)).toEqual([
    {
      id: answer.headers['x-request-id'],
      at: expect.any(Number),
      durationMs: expect.any(Number),
      method: 'POST',
      path: '/v1/chat/completions',
      model: 'gpt-4o',
      keyFingerprint: createHash('sha256').update(key).digest('hex').slice(0, 8),
      stream: true,
      status: 200,
      completed: 'full',
      bytes: answer.body.length,
      reported: null,
      billed: usageOf({ inputTokens: 3, outputTokens: 50 }),
    },
  ])
  const page = await send(simulator, { path: '/books?entries=1' })
  expect(page.body.toString()).not.toContain('canary')
})

test('totals are exact under concurrency, whatever becomes of each request', async () => {
  const simulator = await simulate({ tokens: 8 })
  const outcomes = await Promise.allSettled(
    Array.from({ length: 200 }, (_, index) => {
      const model = index % 2 === 0 ? 'gpt-4o' : 'gpt-5-nano'
      const fields = { model, stream: true, stream_options: { include_usage: true } }
      const faults = [{}, { 'x-simulator-fault': 'cut=2' }, { 'x-simulator-fault': 'status=500' }, {}]
      return chat(simulator, fields, faults[index % 4])
    }),
  )
  await simulator.books.settled()
  const totals = simulator.books.totals()
  const bytes = outcomes.reduce(
    (sum, outcome) => sum + (outcome.status === 'fulfilled' ? outcome.value.body.length : 0),
    0,
  )
  expect(totals).toMatchObject({
    requests: 200,
    inFlight: 0,
    streams: 200,
    bytes,
    statuses: { 200: 150, 500: 50 },
    completed: { full: 100, cut: 50, 'client-gone': 0, fault: 50 },
    reported: { requests: 100, usage: { inputTokens: 300, outputTokens: 800 } },
    billed: { requests: 150, usage: { inputTokens: 450 } },
  })
  // Two events of a cut stream are the role, with all hidden reasoning, and one visible token.
  expect(totals.billed.usage.outputTokens).toBe(100 * 8 + 50 * (4 + 1))
  const perModel = Object.values(totals.models)
  expect(perModel.map(({ requests }) => requests)).toEqual([100, 100])
  const sum = perModel.reduce((tokens, { billed }) => tokens + billed.usage.outputTokens, 0)
  expect(sum).toBe(totals.billed.usage.outputTokens)
})

test('a client that leaves is billed for what was generated, and generation stops', async () => {
  const simulator = await simulate({ tokens: 1000, pace: 200 })
  let events = 0
  await chat(simulator, { stream: true }, {}, (chunk, leave) => {
    events += chunk.toString().split('\n\n').length - 1
    if (events > 4) leave()
  })
  await simulator.books.settled()
  const [gone] = simulator.books.entries(1)
  expect(gone).toMatchObject({ completed: 'client-gone', status: 200, reported: null })
  expect(gone?.billed?.outputTokens).toBeGreaterThanOrEqual(events - 1)
  expect(gone?.billed?.outputTokens).toBeLessThan(100)
})

test('a client that leaves before the first byte is billed nothing', async () => {
  const simulator = await simulate({ latencyMs: 600_000 })
  const answer = expect(chat(simulator)).rejects.toThrow()
  await expect.poll(() => simulator.books.totals().inFlight).toBe(1)
  simulator.server.closeAllConnections()
  await answer
  await simulator.books.settled()
  expect(simulator.books.entries(1)[0]).toMatchObject({
    completed: 'client-gone',
    status: null,
    billed: null,
    bytes: 0,
  })
})

test('a client that reads nothing is not written to beyond its buffers', async () => {
  const simulator = await simulate({ tokens: 1_000_000 })
  const stopped = new Promise<void>((resolve) => {
    void chat(simulator, { stream: true }, {}, (_, leave) => {
      // Only a full socket buffer keeps the simulator from the end of 190 MB.
      simulator.server.getConnections(() => setImmediate(leave))
      resolve()
    })
  })
  await stopped
  await simulator.books.settled()
  const [gone] = simulator.books.entries(1)
  expect(gone?.completed).toBe('client-gone')
  expect(gone?.bytes).toBeLessThan(64 * 1024 * 1024)
})

test('a refusal is an entry with a status and no usage', async () => {
  const simulator = await simulate()
  await chat(simulator, { messages: [] })
  await simulator.books.settled()
  expect(simulator.books.entries(1)[0]).toMatchObject({
    status: 400,
    model: 'gpt-4o',
    completed: 'full',
    billed: null,
    reported: null,
  })
})

test('GET /books gives totals, entries where asked, and DELETE forgets both', async () => {
  const simulator = await simulate()
  for (let request = 0; request < 3; request++) await chat(simulator)
  await simulator.books.settled()
  const read = async (path: string, method = 'GET') => {
    const { body, status } = await send(simulator, { path, method, headers: { authorization: '' } })
    return { status, ...JSON.parse(body.toString()) }
  }
  expect(await read('/books')).toMatchObject({ requests: 3, models: { 'gpt-4o': { requests: 3 } } })
  expect(await read('/books')).not.toHaveProperty('entries')
  expect((await read('/books?entries=1&limit=2')).entries).toHaveLength(2)
  expect((await read('/books?entries=1&limit=0')).entries).toHaveLength(0)
  expect((await read('/books?entries=1&limit=x')).status).toBe(400)
  expect((await read('/books', 'POST')).status).toBe(405)
  expect(await read('/books', 'DELETE')).toMatchObject({ requests: 0, models: {} })
  expect((await read('/books?entries=1')).entries).toEqual([])
})

test('entries are the latest ones, oldest first, and totals count those that are gone too', () => {
  const books = written(
    new Books(3),
    ['a', 'b', 'c', 'd', 'e'].map((id) => ({ ...entry, id })),
  )
  expect(books.entries(10).map(({ id }) => id)).toEqual(['c', 'd', 'e'])
  expect(books.entries(2).map(({ id }) => id)).toEqual(['d', 'e'])
  expect(books.totals()).toMatchObject({ requests: 5, bytes: 50, billed: { usage: { outputTokens: 10 } } })
  expect(written(new Books(0), [entry]).entries(10)).toEqual([])
})

test('a flood of model names is added up under one name, and no name is special', () => {
  const names = ['__proto__', 'constructor', ...Array.from({ length: 2000 }, (_, index) => `model-${index}`)]
  const totals = written(
    new Books(1),
    names.map((model) => ({ ...entry, model })),
  ).totals()
  const { models } = JSON.parse(JSON.stringify(totals))
  expect(Object.keys(models)).toHaveLength(1001)
  expect(models[otherModels].requests).toBe(1002)
  expect(Object.getOwnPropertyDescriptor(models, '__proto__')?.value.requests).toBe(1)
})
