import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { readAdminToken } from '../../gateway/src/admin/token.ts'
import { freePort } from '../../tests/support/free-port.ts'
import { answers, type Program, startProgram } from '../program.ts'
import { type KeyFeatures, type LatchkeyAdmin, makeKey, makeKeys, setUp } from './latchkey-admin.ts'
import { startPostgres } from './postgres.ts'
import { startRedis } from './redis.ts'
import type { Contender, Started, Surroundings, Target } from './target.ts'

const everything: KeyFeatures = { policy: true, limits: true, budgets: true }
const script = join(import.meta.dirname, '../../gateway/bin/latchkey.js')
const nodeModules = join(import.meta.dirname, '../../node_modules/.bin')

/** Embedded mode: everything on, and with one feature off in turn. All are keys of one gateway. */
export const latchkey: Contender = {
  names: ['latchkey', 'latchkey-no-limits', 'latchkey-no-policy'],
  async start(surroundings) {
    const gateway = await startGateway('latchkey', surroundings, {}, true)
    const { admin, target } = gateway
    const make = (name: string, features: KeyFeatures) => makeKey(admin, name, features)
    return {
      targets: [
        target('latchkey', await make('all', everything), 'vault, policy, limits, 3 budgets, record'),
        target(
          'latchkey-no-limits',
          await make('no-limits', { ...everything, limits: false }),
          'as latchkey, without rate limits',
        ),
        target(
          'latchkey-no-policy',
          await make('no-policy', { ...everything, policy: false }),
          'as latchkey, without models, endpoints, addresses and expiry',
        ),
      ],
      stop: gateway.stop,
    }
  },
}

/** Embedded mode without the organization's budget, which no key can be without. */
export const latchkeyUnbudgeted: Contender = {
  names: ['latchkey-no-budgets', 'latchkey-plain'],
  async start(surroundings) {
    const { admin, target, stop } = await startGateway('latchkey-unbudgeted', surroundings, {}, false)
    const withoutBudgets = { ...everything, budgets: false }
    const plain = { policy: false, limits: false, budgets: false }
    return {
      targets: [
        target(
          'latchkey-no-budgets',
          await makeKey(admin, 'no-budgets', withoutBudgets),
          'as latchkey, without budgets',
        ),
        target('latchkey-plain', await makeKey(admin, 'plain', plain), 'vault and record alone'),
      ],
      stop,
    }
  },
}

/** Server mode: everything on, on a Postgres of its own. */
export const latchkeyServer: Contender = {
  names: ['latchkey-server'],
  start: (surroundings) => startServerMode('latchkey-server', surroundings, false),
}

/** Server mode with a Redis: rate limits are those of all processes together, and records have copies. */
export const latchkeyRedis: Contender = {
  names: ['latchkey-redis'],
  start: (surroundings) => startServerMode('latchkey-redis', surroundings, true),
}

/** One worker and two in server mode, on all cores, with the load beside them: what the second adds. */
export const latchkeyWorkers: readonly Contender[] = [
  { name: 'latchkey-one-worker', workers: 1 },
  { name: 'latchkey-two-workers', workers: 2 },
].map(({ name, workers }) => ({
  names: [name],
  start: (surroundings) => {
    const cores = { ...surroundings.cores, gateway: null }
    return startServerMode(name, { ...surroundings, cores }, true, workers)
  },
}))

async function startServerMode(
  name: string,
  surroundings: Surroundings,
  withRedis: boolean,
  workers = 1,
): Promise<Started> {
  const directory = join(surroundings.directory, name)
  mkdirSync(directory, { mode: 0o711 })
  const { gateway: core } = surroundings.cores
  const running: Program[] = []
  const stop = async () => {
    for (const program of running.toReversed()) await program.stop()
  }
  try {
    const postgres = await startPostgres(directory, core)
    running.push(postgres)
    const redis = withRedis ? await startRedis(directory, core) : null
    if (redis !== null) running.push(redis)
    const settings = {
      DATABASE_URL: postgres.databaseUrl,
      ...(redis === null ? {} : { REDIS_URL: redis.url }),
      LATCHKEY_WORKERS: String(workers),
    }
    const gateway = await startGateway(name, { ...surroundings, directory }, settings, true)
    const pids = running.map(({ pid }) => pid)
    running.push(gateway)
    const place = core === null ? `, LATCHKEY_WORKERS=${workers}, on all cores` : ''
    const note = `as latchkey, with DATABASE_URL${withRedis ? ' and REDIS_URL' : ''}${place}`
    const target = gateway.target(name, await makeKey(gateway.admin, 'all', everything), note)
    return { targets: [{ ...target, pids: [...target.pids, ...pids] }], stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** A gateway with the provider's key in it. */
interface Gateway extends Program {
  readonly admin: LatchkeyAdmin
  target(name: string, key: string, note: string): Target
}

async function startGateway(
  name: string,
  { directory, cores, providerPort, nodeOptions }: Surroundings,
  settings: Readonly<Record<string, string>>,
  budgets: boolean,
): Promise<Gateway> {
  const dataDirectory = join(directory, name)
  mkdirSync(dataDirectory, { mode: 0o700 })
  const [port, adminPort] = [await freePort(), await freePort()]
  const origin = `http://127.0.0.1:${port}`
  const program = await startProgram({
    name,
    command: [script, 'serve'],
    env: {
      PATH: `${nodeModules}:${process.env.PATH ?? ''}`,
      LATCHKEY_DATA_DIR: dataDirectory,
      LATCHKEY_PORT: String(port),
      LATCHKEY_ADMIN_PORT: String(adminPort),
      LATCHKEY_ALLOW_UPSTREAM_CIDRS: '127.0.0.0/8',
      LATCHKEY_LOG_LEVEL: 'warn',
      NODE_OPTIONS: nodeOptions,
      ...settings,
    },
    core: cores.gateway,
    directory,
    isReady: () => answers(`${origin}/readyz`),
  })
  try {
    const token = readAdminToken(dataDirectory)?.reveal() ?? ''
    const admin = { url: `http://127.0.0.1:${adminPort}`, token }
    await setUp(admin, `http://127.0.0.1:${providerPort}/v1`, budgets)
    return {
      ...program,
      admin,
      target: (targetName, key, note) => ({
        name: targetName,
        url: `${origin}/v1/chat/completions`,
        headers: { authorization: `Bearer ${key}` },
        makeKeys: (count) => makeKeys(admin, count, everything),
        pids: [program.pid],
        model: null,
        note,
      }),
    }
  } catch (error) {
    await program.stop()
    throw error
  }
}
