import { expect, onTestFinished, test } from 'vitest'
import { beginEpoch } from '../../gateway/src/budget/epoch.ts'
import { startTestDatabase } from '../support/database.ts'
import { newEpochId } from './books.ts'
import { soon, startEngine } from './engines.ts'

// Whoever counts the others by its own heartbeats alone would know of nobody for a minute.
const times = { beatEvery: 60_000, trustFor: 300_000 }

test('a process counts another one as soon as that has begun, and not at its own next heartbeat', async () => {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  const { engine: first } = await startEngine(database.connection, { times })
  expect(first.processes).toBe(1)
  const { engine: second } = await startEngine(database.connection, { times })
  expect(second.processes).toBe(2)
  await expect.poll(() => first.processes, soon).toBe(2)
})

test('of many processes that begin at once each is counted, at the price of a few heartbeats', async () => {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  const { engine } = await startEngine(database.connection, { times })
  const began = performance.now()
  await Promise.all(Array.from({ length: 50 }, () => beginEpoch(database.pool, newEpochId())))
  await expect.poll(() => engine.processes, soon).toBe(51)
  const tenths = (performance.now() - began) / 100
  const { rows } = await database.pool.query<{ counter: bigint }>(
    'select counter from process_epoch where id = $1',
    [engine.epoch],
  )
  expect(Number(rows[0]?.counter)).toBeLessThanOrEqual(2 + tenths)
})
