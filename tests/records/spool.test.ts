import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setImmediate as tick } from 'node:timers/promises'
import { createLog, nanoUsd, systemClock } from '@latchkey/shared'
import { connectDatabase } from '@latchkey/shared/database'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { LeftoverSpools } from '../../gateway/src/records/leftover-spools.ts'
import type { RequestRecord } from '../../gateway/src/records/request-record.ts'
import { addBudget, addOrganization, auditWindows, windowOf } from '../budget/books.ts'
import { expectHold, startEngine } from '../budget/engines.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { recordLog } from '../support/recorded-log.ts'
import { type SeverableSocket, severableSocket } from '../support/severable-socket.ts'
import { SteppingClock } from '../support/stepping-clock.ts'
import { record } from './record.ts'
import { idsWritten, recordAll, recorderOn, soon, type TestRecorder } from './records.ts'

let database: TestDatabase
let way: SeverableSocket

beforeEach(async () => {
  database = await startTestDatabase()
  onTestFinished(() => database.close())
  way = await severableSocket(database.connection)
  onTestFinished(() => way.close())
})

/** A recorder whose way to the database can be cut. */
function start(places: number, setup: Partial<Parameters<typeof recorderOn>[1]> = {}): TestRecorder {
  const handle = connectDatabase({
    connection: way.connection,
    maxConnections: 2,
    statementTimeoutMs: 5_000,
    applicationName: 'latchkey-tests',
    log: createLog('silent'),
  })
  onTestFinished(() => handle.close())
  return recorderOn(handle.pool, { places, ...setup })
}

/** Another process on the same disk, which looks for spools that are nobody's. */
async function takeOver(directory: string, log = createLog('silent')): Promise<void> {
  const { writer } = recorderOn(database.pool, { places: 10 })
  await new LeftoverSpools({ directory, writer, clock: systemClock, log }).replay()
}

const records = (count: number): readonly RequestRecord[] => Array.from({ length: count }, () => record())
const ids = (list: readonly RequestRecord[]) => list.map(({ id }) => id).toSorted()

function filesOf(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.rows'))
    .map((name) => join(directory, name))
}

/** Until somebody waits for a lock on a table of this database. */
async function waitedFor({ pool }: TestDatabase): Promise<void> {
  const waiting = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
  await expect.poll(async () => (await pool.query(waiting)).rowCount).toBe(1)
}

async function untilSpooled({ spool }: TestRecorder, rows: number): Promise<void> {
  await expect.poll(() => spool.rows, { timeout: 10_000 }).toBeGreaterThanOrEqual(rows)
}

describe('while the database is away', () => {
  test('records go to the disk once the queue is half full, so admission stays open', async () => {
    const process = start(40)
    await way.cut()
    const all = records(120)
    for (const each of all) {
      await expect.poll(() => process.recorder.reserve(), { timeout: 10_000, interval: 5 }).toBe(true)
      process.recorder.record(each)
    }
    expect(process.spool.rows).toBeGreaterThanOrEqual(80)
    await way.mend()
    await expect.poll(() => idsWritten(database.pool), { timeout: 10_000 }).toEqual(ids(all))
    await expect.poll(() => process.spool.rows, { timeout: 10_000 }).toBe(0)
    expect([filesOf(process.spoolDirectory), process.recorder.taken]).toEqual([[], 0])
    await process.recorder.close(soon())
    expect(readdirSync(process.spoolDirectory)).toEqual([])
  })

  test('they stay on the disk for as long as the database’s socket is not even there', async () => {
    const process = start(4)
    await way.cut()
    recordAll(process.recorder, records(4))
    await untilSpooled(process, 3)
    const { spool, writer } = process
    const { rows } = spool
    for (let count = 0; count < 3; count++)
      await expect(spool.replay((rows) => writer.write(rows))).rejects.toMatchObject({ code: 'ENOENT' })
    expect([spool.rows, filesOf(process.spoolDirectory).length]).toEqual([rows, 1])
    await way.mend()
    await process.recorder.close(soon())
    expect(await idsWritten(database.pool)).toHaveLength(4)
  })

  test('they are one file that only its owner can read, a line with a checksum each', async () => {
    const process = start(4)
    await way.cut()
    recordAll(process.recorder, records(4))
    await untilSpooled(process, 3)
    const [file = ''] = filesOf(process.spoolDirectory)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readFileSync(file, 'utf8')).toMatch(/^([0-9a-f]{8} \{.*\}\n)+$/)
    await way.mend()
    await process.recorder.close(soon())
  })

  test('admission closes when disk and queue are full, and opens by itself when it is back', async () => {
    const log = recordLog()
    const process = start(20, { spoolBytes: 6_000, log })
    await way.cut()
    let isFull = false
    void log.next('spool.full').then(() => {
      isFull = true
    })
    const admitted: RequestRecord[] = []
    const admit = () => {
      if (!process.recorder.reserve()) return false
      const each = record()
      admitted.push(each)
      process.recorder.record(each)
      return true
    }
    while (!isFull) if (!admit()) await new Promise((resolve) => setImmediate(resolve))
    while (admit());
    expect(process.recorder.reserve()).toBe(false)
    expect(process.spool.bytes).toBeLessThanOrEqual(6_000)
    await way.mend()
    await expect.poll(() => process.recorder.reserve(), { timeout: 10_000 }).toBe(true)
    process.recorder.release()
    await process.recorder.close(soon())
    expect(await idsWritten(database.pool)).toEqual(ids(admitted))
  })

  test('records of refusals take no more than half of the disk’s share, too', async () => {
    const process = start(10, { spoolBytes: 20_000 })
    await way.cut()
    recordAll(process.recorder, records(6))
    await untilSpooled(process, 1)
    for (let count = 0; count < 100; count++) {
      process.recorder.recordRefusal(record({ status: 403 }))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(process.recorder.dropped).toBeGreaterThan(50)
    expect(process.spool.bytes).toBeLessThan(15_000)
    expect(process.recorder.reserve()).toBe(true)
    process.recorder.release()
    await way.mend()
    await process.recorder.close(soon())
  })

  test('so do they where it is only slower than requests come, before places run out', async () => {
    const clock = new SteppingClock()
    // Its clock stands still: nothing ever takes long enough for an outage.
    const { recorder, spool, writer } = recorderOn(database.pool, { places: 4_000, clock })
    const write = writer.write.bind(writer)
    const all: RequestRecord[] = []
    const come = (count: number) => {
      const some = records(count)
      all.push(...some)
      recordAll(recorder, some)
    }
    const spilled = vi.spyOn(spool, 'append')
    // While it takes 500, a thousand come. `recordAll` sees that each finds a place.
    vi.spyOn(writer, 'write').mockImplementation(async (rows) => {
      await tick()
      if (spilled.mock.calls.length === 0) come(1_000)
      await write(rows)
    })
    come(500)
    await expect.poll(() => spilled.mock.calls.length).toBeGreaterThan(0)
    await recorder.close(clock.monotonic() + 20_000)
    expect(await idsWritten(database.pool)).toEqual(ids(all))
    expect(spool.rows).toBe(0)
  })

  test('what reaches the disk after it has reached the database does not stay there', async () => {
    const clock = new SteppingClock()
    const { recorder, spool } = recorderOn(database.pool, { places: 4, clock })
    const append = spool.append.bind(spool)
    const appended = Promise.withResolvers<boolean>()
    const appending = vi.spyOn(spool, 'append').mockImplementationOnce(async (rows) => {
      await expect.poll(() => recorder.queued).toBe(0)
      appended.resolve(append(rows))
      return appended.promise
    })
    const slow = await database.pool.connect()
    try {
      await slow.query('BEGIN')
      await slow.query('LOCK TABLE request IN EXCLUSIVE MODE')
      recordAll(recorder, records(3))
      await waitedFor(database)
      clock.step(60_000)
      recordAll(recorder, records(1))
      expect(appending).toHaveBeenCalledOnce()
      await slow.query('COMMIT')
    } finally {
      slow.release()
    }
    expect([await appended.promise, spool.rows]).toEqual([true, 4])
    await expect.poll(() => spool.rows).toBe(0)
    await recorder.close(clock.monotonic() + 20_000)
    expect(await idsWritten(database.pool)).toHaveLength(4)
  })

  test('refusals are counted until it is back, and written then though nothing else comes, at the end too', async () => {
    const log = recordLog()
    const { recorder } = start(100, { log })
    const counted = async () =>
      (await database.kysely.selectFrom('refusal').select('count').execute()).map(({ count }) =>
        Number(count),
      )
    const sum = async () => (await counted()).reduce((total, count) => total + count, 0)
    await way.cut()
    const failed = log.next('records.write_failed')
    for (let count = 0; count < 7; count++) recorder.countRefusal('invalid_api_key')
    await failed
    await way.mend()
    await expect.poll(sum, { timeout: 10_000 }).toBe(7)

    await way.cut()
    const failedAgain = log.next('records.write_failed')
    recorder.countRefusal('invalid_api_key')
    await failedAgain
    const closing = recorder.close(soon())
    await way.mend()
    await closing
    expect(await sum()).toBe(8)
  })

  test('a file that can’t be read holds up no other record, and is read when it can be', async () => {
    const log = recordLog()
    const clock = new SteppingClock()
    const process = start(20, { log, clock })
    const { recorder, spool } = process
    await way.cut()
    const before = records(16)
    recordAll(recorder, before)
    await untilSpooled(process, 10)
    const { rows } = spool
    const [file = ''] = filesOf(process.spoolDirectory)
    renameSync(file, `${file}.away`)
    mkdirSync(file)
    const unusable = log.next('spool.unusable')
    await way.mend()
    await unusable
    expect(log.events).toContainEqual({
      event: 'spool.unusable',
      fields: expect.objectContaining({ file, errorCode: 'EISDIR' }),
    })
    const after = records(2)
    recordAll(recorder, after)
    await expect.poll(() => idsWritten(database.pool)).toEqual(expect.arrayContaining(ids(after)))
    expect(spool.rows).toBe(rows)

    rmdirSync(file)
    renameSync(`${file}.away`, file)
    clock.step(60_000)
    const last = records(1)
    recordAll(recorder, last)
    await expect.poll(() => idsWritten(database.pool)).toEqual(ids([...before, ...after, ...last]))
    await recorder.close(clock.monotonic() + 20_000)
    expect(readdirSync(process.spoolDirectory)).toEqual([])
  })

  test('a file that can’t be read until its process ends is left for the next', async () => {
    const process = start(4)
    await way.cut()
    const all = records(4)
    recordAll(process.recorder, all)
    await untilSpooled(process, 3)
    const [file = ''] = filesOf(process.spoolDirectory)
    renameSync(file, `${file}.away`)
    mkdirSync(file)
    await way.mend()
    await process.recorder.close(soon())
    rmdirSync(file)
    renameSync(`${file}.away`, file)
    await takeOver(process.spoolDirectory)
    expect(await idsWritten(database.pool)).toEqual(ids(all))
    expect(readdirSync(process.spoolDirectory)).toEqual([])
  })

  test('closing leaves on the disk what the database did not take, for the next start', async () => {
    const process = start(100)
    await way.cut()
    const all = records(30)
    recordAll(process.recorder, all)
    await process.recorder.close(systemClock.monotonic() + 50)
    expect(await idsWritten(database.pool)).toEqual([])
    await takeOver(process.spoolDirectory)
    expect(await idsWritten(database.pool)).toEqual(ids(all))
    expect(readdirSync(process.spoolDirectory)).toEqual([])
  })
})

describe('a spool of another process', () => {
  test('is left alone while that process lives', async () => {
    const process = start(4)
    await way.cut()
    recordAll(process.recorder, records(4))
    await untilSpooled(process, 3)
    await takeOver(process.spoolDirectory)
    expect(await idsWritten(database.pool)).toEqual([])
    expect(filesOf(process.spoolDirectory)).toHaveLength(1)
    await way.mend()
    await process.recorder.close(soon())
    expect(await idsWritten(database.pool)).toHaveLength(4)
  })

  test('is left alone before it is locked', async () => {
    const { spoolDirectory } = start(4)
    mkdirSync(join(spoolDirectory, '0123456789ab'), { recursive: true })
    await takeOver(spoolDirectory)
    expect(readdirSync(spoolDirectory)).toEqual(['0123456789ab'])
  })

  test('is taken over, whatever else lies beside it', async () => {
    const process = start(100)
    await way.cut()
    const all = records(3)
    recordAll(process.recorder, all)
    await process.recorder.close(systemClock.monotonic() + 50)
    const unreadable = join(process.spoolDirectory, '000000000000', '000000.rows')
    mkdirSync(unreadable, { recursive: true })
    const stray = join(process.spoolDirectory, '.DS_Store')
    writeFileSync(stray, '')
    const longAgo = new Date(0)
    utimesSync(stray, longAgo, longAgo)

    const log = recordLog()
    await takeOver(process.spoolDirectory, log)
    expect(await idsWritten(database.pool)).toEqual(ids(all))
    expect(readdirSync(process.spoolDirectory).toSorted()).toEqual(['.DS_Store', '000000000000'])
    expect(log.events.filter(({ event }) => event === 'spool.unusable')).toEqual([
      { event: 'spool.unusable', fields: expect.objectContaining({ file: unreadable }) },
    ])
  })

  test('is read up to where its process died in the middle of a line, and past lines that were altered', async () => {
    const process = start(100)
    await way.cut()
    const all = records(5)
    recordAll(process.recorder, all)
    await process.recorder.close(systemClock.monotonic() + 50)
    const [file = ''] = filesOf(process.spoolDirectory)
    const lines = readFileSync(file, 'utf8').split('\n')
    lines[1] = lines[1]?.replace('"status":200', '"status":201') ?? ''
    writeFileSync(file, lines.join('\n'))
    truncateSync(file, statSync(file).size - 10)
    appendFileSync(join(file, '..', 'notes.txt'), 'not a spool')

    const log = recordLog()
    await takeOver(process.spoolDirectory, log)
    const expected = all.filter((_, at) => at !== 1 && at !== 4)
    expect(await idsWritten(database.pool)).toEqual(ids(expected))
    expect(log.events).toContainEqual({ event: 'spool.damaged', fields: { file, count: 2 } })
  })

  test('settles once, though its process had written some of it', async () => {
    const budget = await addBudget(database.pool, await addOrganization(database.pool), 1_000_000n)
    const { engine } = await startEngine(database.connection)
    const hold = expectHold(await engine.hold([budget], nanoUsd(100n)))
    const paid = record({ settlements: engine.settle(hold, nanoUsd(40n)) })
    const process = start(4)
    await way.cut()
    recordAll(process.recorder, [paid])
    await process.recorder.close(systemClock.monotonic() + 50)
    // Its statement had reached the database, and only the answer was lost.
    const other = recorderOn(database.pool, { places: 10 })
    recordAll(other.recorder, [paid])
    await other.recorder.close(soon())
    await takeOver(process.spoolDirectory)
    expect(await windowOf(database.pool, budget)).toMatchObject({ settled_nano: 40n, overage_nano: 0n })
    await auditWindows(database.pool)
  })
})
