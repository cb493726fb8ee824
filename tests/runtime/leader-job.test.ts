import { createLog } from '@latchkey/shared'
import type pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { LeaderJob, type LeaderJobOptions } from '../../gateway/src/runtime/leader-job.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'

async function start(): Promise<TestDatabase> {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  return database
}

function job(pool: pg.Pool, run: LeaderJobOptions['run'], change: Partial<LeaderJobOptions> = {}): LeaderJob {
  const made = new LeaderJob({
    name: 'test',
    pool,
    log: createLog('silent'),
    every: 10,
    retryAfter: 10,
    run,
    ...change,
  })
  onTestFinished(() => made.close())
  return made
}

test('of many processes one runs a job at a time, and another name is another job', async () => {
  const { pool } = await start()
  const gate = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  const first = job(pool, async () => {
    begun.resolve()
    await gate.promise
  }).run()
  await begun.promise
  expect(await job(pool, async () => undefined).run()).toBe('elsewhere')
  expect(await job(pool, async () => undefined, { name: 'other' }).run()).toBe('done')
  gate.resolve()
  expect(await first).toBe('done')
  expect(await job(pool, async () => undefined).run()).toBe('done')
})

test('a job that fails lets go of its lock and is tried again', async () => {
  const { pool } = await start()
  let runs = 0
  const done = Promise.withResolvers<void>()
  const flaky = job(
    pool,
    async (client) => {
      runs++
      if (runs === 1) await client.query('SELECT 1 / 0')
      done.resolve()
    },
    { every: 60_000 },
  )
  expect(await flaky.run()).toBe('failed')
  expect(await job(pool, async () => undefined).run()).toBe('done')
  runs = 0
  flaky.start()
  await done.promise
  expect(runs).toBe(2)
})

test('the lock falls free when the connection of its holder is gone', async () => {
  const { pool } = await start()
  const outcome = await job(pool, async (client) => {
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    await pool.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid])
    await client.query('SELECT 1')
  }).run()
  expect(outcome).toBe('failed')
  await expect.poll(() => job(pool, async () => undefined).run()).toBe('done')
})
