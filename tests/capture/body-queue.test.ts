import {
  LatchkeyError,
  type OrganizationId,
  type RequestId,
  systemClock,
  systemRandom,
  uuidv7,
} from '@latchkey/shared'
import { connectDatabase } from '@latchkey/shared/database'
import { expect, onTestFinished, test, vi } from 'vitest'
import { BodyQueue, type BodySealer } from '../../gateway/src/capture/body-queue.ts'
import { decodeBody } from '../../gateway/src/capture/body-text.ts'
import type { CapturedBody } from '../../gateway/src/capture/captured-body.ts'
import { startTestDatabase } from '../support/database.ts'
import { recordLog } from '../support/recorded-log.ts'
import { severableSocket } from '../support/severable-socket.ts'

const organizationId = uuidv7<OrganizationId>(systemClock, systemRandom)
/** Seals nothing: what is tested here is what becomes of bodies around it. */
const plain: BodySealer = { seal: async (_, plaintext) => Buffer.from(plaintext) }

async function start(bodies: BodySealer = plain, mostBytes = 2 ** 20) {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  const socket = await severableSocket(database.connection)
  const log = recordLog()
  const { pool, close } = connectDatabase({
    connection: socket.connection,
    maxConnections: 2,
    statementTimeoutMs: 5_000,
    applicationName: 'bodies',
    log,
  })
  onTestFinished(async () => {
    await close()
    await socket.close()
  })
  const queue = new BodyQueue({ vault: { bodies }, pool, mostBytes, clock: systemClock, log })
  const stop = () => queue.close(systemClock.monotonic() + 5_000)
  onTestFinished(stop)
  const stored = async () => {
    const { rows } = await database.pool.query('select * from request_body order by id, direction')
    return rows.map(({ id, direction, envelope }) => ({ id, direction, body: decodeBody(envelope) }))
  }
  return { queue, stored, stop, socket, log }
}

function body(
  queue: BodyQueue,
  text: string,
  direction: CapturedBody['direction'] = 'request',
): CapturedBody {
  const content = Buffer.from(text)
  if (!queue.memory.take(content.length)) throw new Error('no room')
  const requestId = uuidv7<RequestId>(systemClock, systemRandom)
  const about = { mediaType: 'application/json', bytes: content.length, truncated: false }
  return { organizationId, requestId, direction, ...about, content, held: content.length }
}

test('what is kept is written redacted, and its memory is free again', async () => {
  const { queue, stored } = await start()
  const kept = body(queue, '{"api_key":"x","content":"hi"}')
  queue.keep(kept)
  await expect.poll(stored, { timeout: 5_000 }).toEqual([
    {
      id: kept.requestId,
      direction: 'request',
      body: {
        mediaType: 'application/json',
        bytes: 30,
        truncated: false,
        text: '{"api_key":"[redacted]","content":"hi"}',
      },
    },
  ])
  await expect.poll(() => queue.figures()).toEqual({ kept: 1, skipped: 0, lost: 0, heldBytes: 0 })
  expect(kept.content?.every((byte) => byte === 0)).toBe(true)
})

test('what is queued at the end is written before it stops', async () => {
  const { queue, stored, stop } = await start()
  for (let index = 0; index < 100; index++) queue.keep(body(queue, `{"n":${index}}`))
  await stop()
  expect(await stored()).toHaveLength(100)
  expect(queue.figures()).toMatchObject({ kept: 100, heldBytes: 0 })
})

test('a body that comes just when all before it are written is written too, though none comes after it', async () => {
  const { queue, stored } = await start()
  const give = queue.memory.give.bind(queue.memory)
  const given = vi.spyOn(queue.memory, 'give')
  for (let microtasks = 0; microtasks < 8; microtasks++) {
    given.mockImplementationOnce((bytes) => {
      give(bytes)
      let turn = Promise.resolve()
      for (let count = 0; count < microtasks; count++) turn = turn.then(() => undefined)
      void turn.then(() => queue.keep(body(queue, 'two')))
    })
    queue.keep(body(queue, 'one'))
    await expect.poll(stored).toHaveLength(2 * microtasks + 2)
  }
})

test('while the database is away bodies wait in bounded memory, and are written when it is back', async () => {
  const { queue, stored, socket, log } = await start(plain, 2_000)
  await socket.cut()
  const failed = log.next('bodies.write_failed')
  queue.keep(body(queue, 'a'.repeat(900)))
  await failed
  expect(queue.memory.take(200)).toBe(false)
  expect(queue.figures()).toMatchObject({ kept: 0, skipped: 1, lost: 0 })
  await socket.mend()
  await expect.poll(stored, { timeout: 5_000 }).toHaveLength(1)
  await expect.poll(() => queue.figures().heldBytes).toBe(0)
})

test('notes of bodies that are not kept take memory as well: an outage can’t pile them up', async () => {
  const { queue, stored, socket } = await start(plain, 10_000)
  await socket.cut()
  for (let index = 0; index < 1_000; index++) {
    const note = { ...body(queue, ''), content: null, bytes: 5, mediaType: `audio/${'x'.repeat(10_000)}` }
    queue.keep(note)
  }
  const { skipped, heldBytes } = queue.figures()
  expect(heldBytes).toBeLessThanOrEqual(10_000)
  expect(skipped).toBeGreaterThan(900)
  await socket.mend()
  await expect.poll(async () => (await stored()).length, { timeout: 5_000 }).toBe(1_000 - skipped)
  await expect.poll(() => queue.figures().heldBytes).toBe(0)
})

test('a body that finds the vault sealed is lost and counted; those after it are kept', async () => {
  let sealed = true
  const { queue, stored } = await start({
    async seal(_, plaintext) {
      if (sealed) throw new LatchkeyError('vault_sealed')
      return Buffer.from(plaintext)
    },
  })
  queue.keep(body(queue, 'one'))
  await expect.poll(() => queue.figures()).toEqual({ kept: 0, skipped: 0, lost: 1, heldBytes: 0 })
  sealed = false
  queue.keep(body(queue, 'two'))
  await expect.poll(stored).toHaveLength(1)
})

test('a stop does not wait for a database that stays away, and counts what is lost', async () => {
  const { queue, socket } = await start()
  await socket.cut()
  queue.keep(body(queue, 'one'))
  const started = performance.now()
  await queue.close(systemClock.monotonic() + 300)
  expect(performance.now() - started).toBeLessThan(2_000)
  expect(queue.figures()).toMatchObject({ kept: 0, lost: 1 })
})

// Another process may hold the core for as long.
test('the event loop is never held for more than one body', { retry: 2 }, async () => {
  const { queue, stop } = await start(plain, 64 * 2 ** 20)
  for (let index = 0; index < 60; index++) queue.keep(body(queue, 'word '.repeat(50_000)))
  let longest = 0
  let last = performance.now()
  const ticking = setInterval(() => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }, 1)
  await stop()
  clearInterval(ticking)
  expect(longest).toBeLessThan(250)
})
