import { createLog, systemClock } from '@latchkey/shared'
import { expect, onTestFinished, test } from 'vitest'
import { BatchedReads } from '../../vault/src/batched-reads.ts'
import { ChangeFeed } from '../../vault/src/changes.ts'
import { startTestDatabase } from '../support/database.ts'

/** Reads that finish when the test says so. An id that is negative is no one's. */
async function heldReads(pauseMs: number) {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  const log = createLog('silent')
  const changes = new ChangeFeed({ db: database.kysely, listener: undefined, clock: systemClock, log })
  const batches: (readonly number[])[] = []
  let begun = Promise.withResolvers<void>()
  let held = Promise.withResolvers<void>()
  const reads = new BatchedReads<number, string>({
    changes,
    pauseMs,
    read: async (ids) => {
      batches.push(ids)
      begun.resolve()
      await held.promise
      return new Map(ids.filter((id) => id >= 0).map((id) => [id, `thing ${id}`]))
    },
  })
  return {
    reads,
    batches,
    changes,
    database,
    /** Resolves once a read is on its way. */
    begun: () => begun.promise,
    /** Lets the read on its way, and those that follow, come to their end. */
    finish: () => held.resolve(),
    /** Holds the reads that begin from now on. */
    hold: () => {
      begun = Promise.withResolvers()
      held = Promise.withResolvers()
    },
    fail: (error: Error) => held.reject(error),
  }
}

function range(from: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => from + index)
}

test('what is asked for in one tick is one read, and each thing is read once', async () => {
  const { reads, batches, finish } = await heldReads(0)
  finish()
  const results = await Promise.all([1, 2, 1, -3].map((id) => reads.read(id)))
  expect(batches).toEqual([[1, 2, -3]])
  expect(results.map((result) => (result.kind === 'read' ? result.reading.found : result.kind))).toEqual([
    'thing 1',
    'thing 2',
    'thing 1',
    undefined,
  ])
})

test('one read is on its way at a time, and what is asked for meanwhile shares the next', async () => {
  const { reads, batches, begun, finish } = await heldReads(0)
  const first = reads.read(1)
  await begun()
  const others = [1, 2, 3].map((id) => reads.read(id))
  expect(batches).toEqual([[1]])
  finish()
  await Promise.all([first, ...others])
  expect(batches).toEqual([[1], [1, 2, 3]])
})

test('the next read waits for others to join it, also where nobody waited when the last one ended', async () => {
  const { reads, batches, finish } = await heldReads(1_000)
  finish()
  await reads.read(1)
  const second = reads.read(2)
  // Each a turn of the event loop later: one read apiece, without the pause.
  const others: Promise<unknown>[] = []
  for (const id of [3, 4, 5]) {
    await new Promise((resolve) => setImmediate(resolve))
    others.push(reads.read(id))
  }
  expect(batches).toEqual([[1]])
  await Promise.all([second, ...others])
  expect(batches).toEqual([[1], [2, 3, 4, 5]])
})

test('a full batch waits for nobody', async () => {
  const { reads, batches, finish } = await heldReads(600_000)
  finish()
  await Promise.all(range(0, 400).map((id) => reads.read(id)))
  expect(batches.map((ids) => ids.length)).toEqual([200, 200])
})

test('no more than ten thousand wait', async () => {
  const { reads, begun, finish } = await heldReads(0)
  const first = reads.read(-1)
  await begun()
  const waiting = range(0, 10_000).map((id) => reads.read(id))
  expect(await reads.read(10_000)).toEqual({ kind: 'overloaded' })
  finish()
  const results = await Promise.all([first, ...waiting])
  expect(results.every(({ kind }) => kind === 'read')).toBe(true)
})

test('a read that fails fails for those who wait for it, and for nobody after them', async () => {
  const { reads, begun, fail, hold, finish } = await heldReads(0)
  const failing = reads.read(1)
  await begun()
  fail(new Error('gone'))
  await expect(failing).rejects.toThrow('gone')
  hold()
  finish()
  expect(await reads.read(1)).toMatchObject({ kind: 'read', reading: { found: 'thing 1' } })
})

test('what is read is as old as the generation before the read', async () => {
  const { reads, begun, finish, changes, database } = await heldReads(0)
  await changes.poll()
  const before = changes.generation
  const reading = reads.read(1)
  await begun()
  await database.pool.query('update change_counter set value = value + 1')
  await changes.poll()
  finish()
  expect(changes.generation).not.toBe(before)
  expect(await reading).toMatchObject({ reading: { generation: before } })
})
