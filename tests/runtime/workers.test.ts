import { once } from 'node:events'
import { createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { mintedProxyKeyWire, statusWire } from '@latchkey/shared'
import { afterAll, expect, onTestFinished, test, vi } from 'vitest'
import { readAdminToken } from '../../gateway/src/admin/token.ts'
import { readConfig } from '../../gateway/src/config.ts'
import { isProcessAlive } from '../../gateway/src/runtime/announcement.ts'
import { latchkey } from '../cli/latchkey-process.ts'
import { parseExposition, type Scrape } from '../metrics/scrape.ts'
import { type KillableGateway, startKillableGateway } from '../security/killable-gateway.ts'
import { ask, askJson, type HttpAnswer } from '../support/http-client.ts'
import { startPostgres } from '../support/postgres.ts'
import { startRedis } from '../support/redis.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Whole processes start in every one of them.
vi.setConfig({ testTimeout: 120_000 })

const [postgres, redis] = await Promise.all([startPostgres({ maxConnections: 200 }), startRedis()])
afterAll(() => Promise.all([postgres.discard(), redis.discard()]))
const workers = 2

function start(database: string): KillableGateway {
  return startKillableGateway(temporaryDirectory(), {
    DATABASE_URL: postgres.url(database),
    REDIS_URL: redis.url,
    LATCHKEY_WORKERS: String(workers),
    LATCHKEY_METRICS_TOKEN: metricsToken,
  })
}

const metricsToken = 'a-token-for-metrics-alone'

async function call(gateway: KillableGateway, method: string, path: string, body?: unknown) {
  const { status, text } = await gateway.admin(method, path, body)
  if (status >= 300) throw new Error(`${path}: ${text}`)
  return JSON.parse(text)
}

async function mint(gateway: KillableGateway): Promise<string> {
  await call(gateway, 'POST', '/provider-keys', { name: 'sim', provider: 'simulator' })
  return mintedProxyKeyWire.parse(
    await call(gateway, 'POST', '/keys', { name: 'alice', providerKeys: ['sim'] }),
  ).key
}

/** On a connection of its own, so that each time the next worker answers. */
async function readStatus(gateway: KillableGateway) {
  const { adminUrl } = await gateway.ready()
  const token = readAdminToken(gateway.dataDirectory)?.reveal() ?? ''
  return statusWire.parse(JSON.parse((await ask(adminUrl, '/api/status', bearer(token))).body.toString()))
}

function bearer(token: string) {
  return { headers: { authorization: `Bearer ${token}` } }
}

/** One request on a connection of its own, so that each goes to the next worker. Rejects where no status ever came. */
async function request(gateway: KillableGateway, token: string, stream = false): Promise<HttpAnswer> {
  const { dataUrl } = await gateway.ready()
  const body = { model: 'gpt-4o', stream, messages: [{ role: 'user', content: 'Hi' }] }
  // A stream takes five seconds: however busy the machine is, many of them are in flight together.
  const headers = stream ? { 'x-simulator-pace': '20', 'x-simulator-tokens': '100' } : {}
  return askJson(dataUrl, '/v1/chat/completions', body, { key: { id: '', token }, headers })
}

/** Begins so many streams; when it resolves, all of them are in flight. */
async function beginStreams(gateway: KillableGateway, token: string, count: number) {
  // One that breaks before its head has come has no answer at all.
  const stream = () => request(gateway, token, true).catch(() => null)
  const ended = Promise.all(Array.from({ length: count }, stream))
  await expect
    .poll(async () => (await scrape(gateway)).value('latchkey_requests_in_flight'), { interval: 20 })
    .toBe(count)
  return { ended }
}

function isWhole(answer: HttpAnswer | null): boolean {
  return answer?.complete === true && answer.body.toString().endsWith('data: [DONE]\n\n')
}

async function scrape(gateway: KillableGateway): Promise<Scrape> {
  const { adminUrl } = await gateway.ready()
  return parseExposition((await ask(adminUrl, '/metrics', bearer(metricsToken))).body.toString())
}

/** What `look` gives once no worker is left out of it: the supervisor does so with one that does not answer in a second. */
function fromAllWorkers<Seen>(look: () => Promise<Seen>, isWhole: (seen: Seen) => boolean): Promise<Seen> {
  return vi.waitFor(
    async () => {
      const seen = await look()
      expect(isWhole(seen)).toBe(true)
      return seen
    },
    { timeout: 10_000 },
  )
}

/** How many requests a page tells of that ended well. */
function servedBy(page: Scrape): number {
  return page.value('latchkey_requests_total', { status: '2xx' })
}

async function recordedWhole(database: string): Promise<number> {
  const [row] = await postgres.query(database, 'SELECT count(*) FROM request WHERE status = 200')
  return Number(row?.count)
}

function pidsOf({ workers: list }: Awaited<ReturnType<typeof readStatus>>): readonly number[] {
  return (list ?? []).flatMap(({ pid }) => (pid === null ? [] : [pid]))
}

test('workers serve on one port as one gateway: sums over all of them, one dies and is replaced, SIGTERM drains them all', async () => {
  const database = await postgres.createDatabase()
  const gateway = start(database)
  const token = await mint(gateway)
  const first = pidsOf(await readStatus(gateway))
  expect(new Set([...first, gateway.pid]).size).toBe(workers + 1)

  // Each of them answers, for the admin plane and for applications.
  const answering = new Set<number>()
  for (let asked = 0; asked < 4; asked++) answering.add((await readStatus(gateway)).pid)
  expect(answering).toEqual(new Set(first))
  for (let sent = 0; sent < 20; sent++) expect((await request(gateway, token)).status).toBe(200)
  for (let scraped = 0; scraped < workers; scraped++) {
    // Both at once: the answers to one question are not taken for those to another.
    const [page, status] = await fromAllWorkers(
      () => Promise.all([scrape(gateway), readStatus(gateway)]),
      ([seen, { workers: list }]) =>
        servedBy(seen) >= 20 && list?.every(({ self }) => self !== null) === true,
    )
    expect(status.workers?.map(({ self }) => self?.draining)).toEqual([false, false])
    expect(servedBy(page)).toBe(20)
    expect(page.value('latchkey_overhead_seconds_count')).toBe(20)
    expect(page.value('latchkey_record_places')).toBe(workers * 20_000)
    expect(page.value('latchkey_build_info')).toBe(1)
    expect(page.value('latchkey_workers')).toBe(workers)
    expect(page.value('latchkey_worker_restarts_total')).toBe(0)
    const resident = page.samples.filter(({ name }) => name === 'process_resident_memory_bytes')
    expect(resident.map(({ labels }) => labels.worker)).toEqual(['1', '2', 'supervisor'])
  }

  // Records of the last tenth of a second would come back from the dead one's copies only once it is given up.
  await expect.poll(() => recordedWhole(database)).toBe(20)

  // One is killed under streams: its own break, and those of the other go on to their end.
  const [victim = 0, survivor = 0] = first
  const streams = await beginStreams(gateway, token, 8)
  process.kill(victim, 'SIGKILL')
  const ended = await streams.ended
  const whole = ended.filter(isWhole).length
  expect(whole).toBeGreaterThan(0)
  expect(whole).toBeLessThan(8)
  expect(ended.filter((answer) => answer?.complete !== true)).toHaveLength(8 - whole)
  await gateway.logged('worker.ready', workers + 1)
  await expect
    .poll(async () => (await readStatus(gateway)).workers?.every(({ self }) => self !== null))
    .toBe(true)
  const second = pidsOf(await readStatus(gateway))
  expect(second).toContain(survivor)
  expect(second).not.toContain(victim)
  expect((await readStatus(gateway)).workers?.map(({ restarts }) => restarts)).toEqual([1, 0])
  const after = await fromAllWorkers(
    () => scrape(gateway),
    (seen) => servedBy(seen) >= 20 + whole,
  )
  // What the dead one had counted stays counted.
  expect(servedBy(after)).toBe(20 + whole)
  expect(after.value('latchkey_worker_restarts_total')).toBe(1)

  // A second signal changes nothing, whomever it reaches.
  const draining = await beginStreams(gateway, token, 20)
  const stopped = gateway.stop()
  for (const pid of second) process.kill(pid, 'SIGTERM')
  process.kill(gateway.pid, 'SIGTERM')
  expect((await draining.ended).filter(isWhole)).toHaveLength(20)
  expect(await stopped).toBe(0)
  expect(second.filter(isProcessAlive)).toEqual([])
  expect(gateway.output().match(/"gateway\.stopping"/g)).toHaveLength(1)
  expect(gateway.output()).not.toContain('gateway.streams_cut')
  // Of all that ended well there is one record, whoever served it.
  expect(await recordedWhole(database)).toBe(20 + whole + 20)
})

test('a supervisor that is killed leaves no worker behind, and its running streams end first', async () => {
  const gateway = start(await postgres.createDatabase())
  const token = await mint(gateway)
  const pids = pidsOf(await readStatus(gateway))
  const streams = await beginStreams(gateway, token, 4)
  await gateway.kill()
  expect((await streams.ended).filter(isWhole)).toHaveLength(4)
  await expect.poll(() => pids.filter(isProcessAlive), { timeout: 10_000 }).toEqual([])
})

test('what keeps a worker from starting ends the gateway, is told once, and is its exit code', async () => {
  const url = postgres.url(await postgres.createDatabase())
  const settings = { LATCHKEY_PORT: '0', LATCHKEY_ADMIN_PORT: '0', LATCHKEY_WORKERS: '2' }
  const refused = await latchkey(['serve'], {
    ...settings,
    LATCHKEY_DATA_DIR: temporaryDirectory(),
    DATABASE_URL: url.replace(postgres.password, 'canary-wrong-password'),
  })
  expect(refused.status).toBe(69)
  expect(refused.stderr.match(/refuses the gateway/g)).toHaveLength(1)
  expect(refused.stderr).not.toContain('canary-')

  const squatter = createServer().listen(0, '127.0.0.1')
  await once(squatter, 'listening')
  onTestFinished(() => void squatter.close())
  const address = squatter.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on no port')
  const taken = await latchkey(['serve'], {
    ...settings,
    LATCHKEY_PORT: String(address.port),
    LATCHKEY_DATA_DIR: temporaryDirectory(),
    DATABASE_URL: url,
  })
  expect(taken.status).toBe(75)
  expect(taken.stderr.match(/is in use/g)).toHaveLength(1)
})

const elsewhere = { DATABASE_URL: 'postgres://user:password@127.0.0.1:1/database' }
test.each([
  [{ LATCHKEY_WORKERS: '2' }, /LATCHKEY_WORKERS \(or --workers\) is 2, and DATABASE_URL is not set/],
  [{ LATCHKEY_WORKERS: 'auto' }, /DATABASE_URL is not set/],
  [{ ...elsewhere, LATCHKEY_WORKERS: '0' }, /from 1 to 64, or auto/],
  [{ ...elsewhere, LATCHKEY_WORKERS: '65' }, /from 1 to 64, or auto/],
  [{ ...elsewhere, LATCHKEY_WORKERS: '1.5' }, /from 1 to 64, or auto/],
  [{ ...elsewhere, LATCHKEY_WORKERS: 'many' }, /from 1 to 64, or auto/],
])('workers that can’t be are refused: %j', (env, message) => {
  expect(() => readConfig(env)).toThrow(message)
})

test('one worker is the default, auto is one for each core', () => {
  expect(readConfig({}).workers).toBe(1)
  expect(readConfig({ LATCHKEY_WORKERS: '1' }).workers).toBe(1)
  expect(readConfig({ ...elsewhere, LATCHKEY_WORKERS: '64' }).workers).toBe(64)
  expect(readConfig({ ...elsewhere, LATCHKEY_WORKERS: 'auto' }).workers).toBe(availableParallelism())
})

test('--workers goes before LATCHKEY_WORKERS, and is refused without DATABASE_URL', async () => {
  const settings = { LATCHKEY_DATA_DIR: temporaryDirectory(), LATCHKEY_WORKERS: '1' }
  const { status, stderr } = await latchkey(['serve', '--workers', '3'], settings)
  expect(status).toBe(78)
  expect(stderr).toContain('is 3, and DATABASE_URL is not set')
})
