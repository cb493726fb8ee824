import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setImmediate as tick } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  type BudgetId,
  createLog,
  type DeploymentId,
  type EpochId,
  Secret,
  systemClock,
} from '@latchkey/shared'
import { connectDatabase } from '@latchkey/shared/database'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { budgetTimes } from '../../gateway/src/budget/budget-times.ts'
import { beginEpoch, endEpoch } from '../../gateway/src/budget/epoch.ts'
import { Sweeper } from '../../gateway/src/budget/sweeper.ts'
import { copyStream } from '../../gateway/src/records/copy-stream.ts'
import { LeftoverCopies } from '../../gateway/src/records/leftover-copies.ts'
import { rowOf } from '../../gateway/src/records/record-row.ts'
import { RedisCopies } from '../../gateway/src/records/redis-copies.ts'
import { TakeOver } from '../../gateway/src/records/take-over.ts'
import { parseRedisUrl } from '../../gateway/src/redis-url.ts'
import { connectRedis, type RedisHandle } from '../../gateway/src/runtime/redis.ts'
import { addBudget, addOrganization, auditWindows, newEpochId, windowOf } from '../budget/books.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { recordLog } from '../support/recorded-log.ts'
import { startRedis, startRedisCluster, type TestRedis } from '../support/redis.ts'
import { type SeverableSocket, severableSocket } from '../support/severable-socket.ts'
import { record } from './record.ts'
import type { RecordingReport, RecordingTask } from './recording-process-main.ts'
import { idsWritten, recordAll, recorderOn, soon } from './records.ts'

const log = createLog('silent')
const program = fileURLToPath(new URL('./recording-process-main.ts', import.meta.url))

let redis: TestRedis
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.discard())

let database: TestDatabase
let way: SeverableSocket
let handle: RedisHandle
let deployment: DeploymentId

beforeEach(async () => {
  database = await startTestDatabase()
  onTestFinished(() => database.close())
  way = await severableSocket(database.connection)
  onTestFinished(() => way.close())
  await redis.start()
  handle = await connect(redis.url)
  deployment = randomUUID() as DeploymentId
})

async function connect(url: string): Promise<RedisHandle> {
  const connected = connectRedis(
    parseRedisUrl(new Secret(url)),
    { authority: null, commandTimeoutMs: 500, connectionName: 'latchkey-tests' },
    log,
  )
  onTestFinished(() => connected.close())
  expect(await connected.ready(5_000)).toBe(true)
  return connected
}

/** A recorder that copies, as the process of an epoch has it. Its way to the database can be cut. */
function start(epoch: EpochId, places = 100) {
  const recording = connectDatabase({
    connection: way.connection,
    maxConnections: 2,
    statementTimeoutMs: 5_000,
    applicationName: 'latchkey-tests',
    log,
  })
  onTestFinished(() => recording.close())
  const surroundings = { client: handle.client, deployment, clock: systemClock, log }
  const copies = new RedisCopies({ ...surroundings, epoch: () => epoch })
  return { copies, ...recorderOn(recording.pool, { places, copies }) }
}

function leftoverCopies(to = log): LeftoverCopies {
  const { writer } = recorderOn(database.pool, { places: 10 })
  return new LeftoverCopies({ client: handle.client, pool: database.pool, deployment, writer, log: to })
}

/** How many rows the entries of a stream have. */
const copied = async (epoch: EpochId) => (await copiesOf(epoch)).length
const records = (count: number) => Array.from({ length: count }, () => record())

async function copiesOf(epoch: EpochId): Promise<readonly unknown[]> {
  const entries = await handle.client.xrange(copyStream(deployment, epoch), '-', '+')
  return entries.flatMap(([, [, rows = '']]) => JSON.parse(rows) as readonly unknown[])
}

/** Spends and records in a process of its own, which is killed once Redis has its copies, and Redis alone. */
async function killRecordingProcess(budget: BudgetId, count: number, cost: number): Promise<RecordingReport> {
  const { connection } = database
  const task: RecordingTask = { connection, redisUrl: redis.url, deployment, budget, records: count, cost }
  const child = spawn(process.execPath, ['--conditions=source', program, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const line = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
  return JSON.parse(String(line.value)) as RecordingReport
}

describe('copies', () => {
  test('are there from when a record is queued until it is written', async () => {
    const epoch = newEpochId()
    const { recorder } = start(epoch)
    await way.cut()
    recordAll(recorder, records(10))
    await expect.poll(() => copied(epoch)).toBe(10)
    // Those of one tick are one entry.
    expect(await handle.client.xlen(copyStream(deployment, epoch))).toBe(1)
    await way.mend()
    await expect.poll(async () => (await idsWritten(database.pool)).length, { timeout: 10_000 }).toBe(10)
    await expect.poll(() => copied(epoch)).toBe(0)
    await recorder.close(soon())
  })

  test('go together where Redis has yet to answer for those before', async () => {
    const epoch = newEpochId()
    const { recorder, copies } = start(epoch)
    await way.cut()
    const sent = vi.spyOn(handle.client, 'pipeline')
    await handle.client.client('PAUSE', 300, 'WRITE')
    for (const each of [records(1), records(1), records(1)]) {
      recordAll(recorder, each)
      // Time enough to be sent on its own, if nothing held it.
      for (let ticks = 0; ticks < 3; ticks++) await tick()
    }
    expect([sent.mock.calls.length, copies.unanswered]).toEqual([1, 3])
    await expect.poll(() => copied(epoch), { timeout: 10_000 }).toBe(3)
    await expect.poll(() => copies.unanswered, { timeout: 10_000 }).toBe(0)
    expect(sent).toHaveBeenCalledTimes(2)
    await way.mend()
    await recorder.close(soon())
  })

  test('are there until then for those records alone that are not written', async () => {
    const epoch = newEpochId()
    const { recorder } = start(epoch)
    recordAll(recorder, records(3))
    await expect.poll(async () => (await idsWritten(database.pool)).length).toBe(3)
    await way.cut()
    const waiting = record()
    recordAll(recorder, [waiting])
    await expect.poll(() => copied(epoch)).toBe(1)
    expect(await copiesOf(epoch)).toMatchObject([{ id: waiting.id }])
    await way.mend()
    await recorder.close(soon())
  })

  test('are kept and taken over on a Redis Cluster', async () => {
    const cluster = await startRedisCluster()
    onTestFinished(() => cluster.discard())
    handle = await connect(cluster.url)
    await way.cut()
    // Each is on a node of its own, or might be.
    const epochs = [newEpochId(), newEpochId(), newEpochId()]
    const recorders = epochs.map((epoch) => start(epoch).recorder)
    for (const recorder of recorders) recordAll(recorder, records(10))
    for (const epoch of epochs) await expect.poll(() => copied(epoch)).toBe(10)
    await leftoverCopies().replay(epochs)
    expect(await idsWritten(database.pool)).toHaveLength(30)
    await way.mend()
    await Promise.all(recorders.map((recorder) => recorder.close(soon())))
    expect(await idsWritten(database.pool)).toHaveLength(30)
  })

  test('are missed by nobody while Redis is away, frozen or full: records are written, and counted as not copied', async () => {
    const epoch = newEpochId()
    const { recorder, copies } = start(epoch, 50_000)
    redis.freeze()
    recordAll(recorder, records(6_000))
    expect([copies.skipped, copies.unanswered]).toEqual([1_000, 5_000])
    await expect.poll(async () => (await idsWritten(database.pool)).length, { timeout: 10_000 }).toBe(6_000)
    redis.thaw()
    await expect.poll(() => copies.unanswered, { timeout: 10_000 }).toBe(0)
    await redis.kill()
    await expect.poll(() => handle.client.status).not.toBe('ready')
    const before = copies.skipped
    recordAll(recorder, records(5))
    expect(copies.skipped).toBe(before + 5)

    await redis.start()
    expect(await handle.ready(5_000)).toBe(true)
    await redis.command('CONFIG', 'SET', 'maxmemory', '1')
    recordAll(recorder, records(5))
    await expect.poll(() => copies.skipped).toBe(before + 10)
    await redis.command('CONFIG', 'SET', 'maxmemory', '0')
    await way.cut()
    recordAll(recorder, records(5))
    await expect.poll(() => copied(epoch)).toBe(5)
    await way.mend()
    await recorder.close(soon())
    expect(await idsWritten(database.pool)).toHaveLength(6_015)
    expect(recorder.taken).toBe(0)
  })
})

describe('what a process that was killed had not written', () => {
  test('is written from its copies, settled once, before its leases are swept', async () => {
    const organization = await addOrganization(database.pool)
    const budget = await addBudget(database.pool, organization, 1_000_000n)
    const { epoch, ids, skipped } = await killRecordingProcess(budget, 50, 30)
    expect([await copied(epoch), await idsWritten(database.pool), skipped]).toEqual([50, [], 0])
    const { leased_nano: leased } = await windowOf(database.pool, budget)

    const copies = leftoverCopies()
    const takeOver = new TakeOver({ places: [copies], log, every: 60_000 })
    const sweeper = new Sweeper({
      database: database.pool,
      clock: systemClock,
      log,
      times: budgetTimes,
      async beforeSweep(epochs) {
        await takeOver.beforeSweep(epochs)
        expect(await windowOf(database.pool, budget)).toMatchObject({
          settled_nano: 1_500n,
          unsettled_nano: 0n,
        })
      },
    })
    await sweeper.sweepOthers([{ id: epoch, counter: 0n }], newEpochId())

    expect(await idsWritten(database.pool)).toEqual(ids.toSorted())
    expect(await windowOf(database.pool, budget)).toMatchObject({
      settled_nano: 1_500n,
      leased_nano: 0n,
      unsettled_nano: leased - 1_500n,
      overage_nano: 0n,
    })
    await auditWindows(database.pool)
    expect([copies.takenOver, await handle.client.exists(copyStream(deployment, epoch))]).toEqual([50, 0])
  })

  test('settles from what was swept, where Redis was away when its process was found dead', async () => {
    const organization = await addOrganization(database.pool)
    const budget = await addBudget(database.pool, organization, 1_000_000n)
    const { epoch, ids } = await killRecordingProcess(budget, 5, 30)
    const takeOver = new TakeOver({ places: [leftoverCopies()], log, every: 60_000 })
    const sweeper = new Sweeper({
      database: database.pool,
      clock: systemClock,
      log,
      times: budgetTimes,
      beforeSweep: (epochs) => takeOver.beforeSweep(epochs),
    })
    redis.freeze()
    await sweeper.sweepOthers([{ id: epoch, counter: 0n }], newEpochId())
    redis.thaw()
    expect(await windowOf(database.pool, budget)).toMatchObject({ settled_nano: 0n, leased_nano: 0n })
    await expect.poll(() => handle.client.status).toBe('ready')
    await expect
      .poll(
        async () => {
          await takeOver.look()
          return idsWritten(database.pool)
        },
        { timeout: 10_000 },
      )
      .toEqual(ids.toSorted())
    expect(await windowOf(database.pool, budget)).toMatchObject({ settled_nano: 150n, overage_nano: 0n })
    await auditWindows(database.pool)
  })

  test('is written once, though its process lives after all and several others take it over', async () => {
    const epoch = newEpochId()
    await beginEpoch(database.pool, epoch)
    const { recorder } = start(epoch, 10_000)
    await way.cut()
    const all = records(1_200)
    recordAll(recorder, all)
    await expect.poll(() => copied(epoch)).toBe(1_200)
    await endEpoch(database.pool, epoch)
    await Promise.all([1, 2, 3].map(() => leftoverCopies().replay([])))
    await way.mend()
    await recorder.close(soon())
    expect(await idsWritten(database.pool)).toEqual(all.map(({ id }) => id).toSorted())
  })

  test('is left alone while its epoch lasts', async () => {
    const epoch = newEpochId()
    await beginEpoch(database.pool, epoch)
    const { recorder } = start(epoch)
    await way.cut()
    recordAll(recorder, records(3))
    await expect.poll(() => copied(epoch)).toBe(3)
    await leftoverCopies().replay([])
    expect([await copied(epoch), await idsWritten(database.pool)]).toEqual([3, []])
    await way.mend()
    await recorder.close(soon())
  })

  test('holds nobody up where an entry is no record', async () => {
    const epoch = newEpochId()
    const stream = copyStream(deployment, epoch)
    const sound = rowOf(record())
    await redis.command('XADD', stream, '1-0', 'rows', JSON.stringify([{ id: 'none' }, sound, null]))
    await redis.command('XADD', stream, '2-0', 'rows', '{}')
    await redis.command('XADD', stream, '3-0', 'rows', '}, {')
    const recorded = recordLog()
    await leftoverCopies(recorded).replay([epoch])
    expect(recorded.events).toContainEqual({ event: 'records.lost', fields: { count: 4 } })
    expect(await idsWritten(database.pool)).toEqual([sound.id])
    expect(await handle.client.exists(stream)).toBe(0)
  })
})
