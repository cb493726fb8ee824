import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type BudgetPeriod,
  budgetWire,
  type ChangeBudgetWire,
  createLog,
  formatUsd,
  groupWire,
  mintedProxyKeyWire,
  type NanoUsd,
  type RateLimitWire,
} from '@latchkey/shared'
import { connectDatabase, type DatabaseHandle } from '@latchkey/shared/database'
import type { BudgetTimes } from '../../../gateway/src/budget/budget-times.ts'
import { startPostgres, type TestPostgres } from '../../support/postgres.ts'
import { startRedis, type TestRedis } from '../../support/redis.ts'
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.ts'
import { Clients } from './client.ts'
import { DatabaseClock } from './database-clock.ts'
import { type Gateway, startGateway } from './gateway.ts'
import { Ledger } from './ledger.ts'
import { startUpstream, type Upstream } from './upstream.ts'

export interface DeploymentOptions {
  readonly processes: number
  /** `embedded`: the gateway's own, for one process. `shared`: a Postgres on a port, which several can be on. */
  readonly database: 'embedded' | 'shared'
  readonly seed: number
  readonly settings?: Readonly<Record<string, string>>
  /** A Redis that they share, too. */
  readonly redis?: boolean
  /** They reach the shared Postgres on a way that a fault can cut or slow down. */
  readonly severable?: boolean
  /** What a shared database's clock says at first (ISO 8601), if it is one that can be set. */
  readonly clock?: string
  /** Other times than the gateways' own, for what would take minutes. */
  readonly budgetTimes?: Partial<BudgetTimes>
}

/** A proxy key of a proof. */
export interface ProofKey {
  readonly id: string
  readonly token: string
}

export interface KeyOptions {
  /** The limit of its `total` budget: every key has one. */
  readonly total: NanoUsd
  readonly others?: Partial<Record<BudgetPeriod, NanoUsd>>
  readonly group?: string
  readonly fit?: 'refuse' | 'clamp'
  /** How often a request is sent again before its first byte. */
  readonly retries?: number
  readonly limits?: readonly RateLimitWire[]
}

const patienceMs = 30_000
const lookAgainMs = 50
const providerKey = 'upstream'

/** Gateways, their database and their upstream, each a process (or several) of its own. */
export class Deployment {
  readonly upstream: Upstream
  readonly ledger: Ledger
  readonly clients = new Clients()
  /** Of its gateways: what they keep, and the embedded Postgres's log. */
  readonly dataDirectory: string
  readonly #started: Started
  readonly #databaseName: string
  readonly #settings: Readonly<Record<string, string>>
  readonly #database: DatabaseHandle
  #waiting: (() => void)[] = []

  private constructor(
    started: Started,
    settings: Readonly<Record<string, string>>,
    upstream: Upstream,
    databaseName: string,
    database: DatabaseHandle,
  ) {
    this.dataDirectory = started.directory
    this.#started = started
    this.#settings = settings
    this.upstream = upstream
    this.#databaseName = databaseName
    this.#database = database
    this.ledger = new Ledger(database.pool)
  }

  /** Starts everything. What has started by then is stopped where something does not. */
  static async start(options: DeploymentOptions): Promise<Deployment> {
    const started: Started = { directory: temporaryDirectory(), ...nothingYet, gateways: [] }
    unfinished.add(started)
    try {
      return await Deployment.#start(options, started)
    } catch (error) {
      await stopAll(started)
      throw error
    }
  }

  static async #start(options: DeploymentOptions, started: Started): Promise<Deployment> {
    const { directory, gateways } = started
    const upstream = await startUpstream(options.seed)
    started.upstream = upstream
    const postgres = options.database === 'shared' ? await startPostgres({ maxConnections: 100 }) : null
    started.postgres = postgres
    const redis = options.redis === true ? await startRedis() : null
    started.redis = redis
    const severable = postgres !== null && options.severable === true
    const toPostgres = severable ? await startTcpProxy({ port: postgres.port }) : null
    started.toPostgres = toPostgres
    const name = (await postgres?.createDatabase()) ?? 'latchkey'
    if (postgres !== null && options.clock !== undefined) {
      const clock = new DatabaseClock(postgres, name)
      await clock.install()
      await clock.set(options.clock)
    }
    const settings = {
      LATCHKEY_DATA_DIR: directory,
      LATCHKEY_PORT: '0',
      LATCHKEY_ADMIN_PORT: '0',
      LATCHKEY_ALLOW_UPSTREAM_CIDRS: '127.0.0.0/8',
      ...(postgres === null
        ? {}
        : { DATABASE_URL: onPort(postgres.url(name), toPostgres?.port ?? postgres.port) }),
      ...(redis === null ? {} : { REDIS_URL: redis.url }),
      ...options.settings,
    }
    const starts = Array.from({ length: options.processes }, async () => {
      gateways.push(await startGateway(settings, options.budgetTimes))
    })
    for (const start of await Promise.allSettled(starts)) if (start.status === 'rejected') throw start.reason
    const database = connectDatabase({
      connection: postgres?.connection(name) ?? {
        host: join(directory, 'run'),
        port: 5432,
        user: 'latchkey',
        database: name,
      },
      maxConnections: 2,
      statementTimeoutMs: 20_000,
      applicationName: 'latchkey-proof',
      log: createLog('silent'),
    })
    const deployment = new Deployment(started, settings, upstream, name, database)
    await deployment.admin('POST', '/provider-keys', {
      name: providerKey,
      provider: 'simulator',
      baseUrl: upstream.baseUrl,
    })
    return deployment
  }

  /** The Postgres that the gateways share. Throws where there is none. */
  get postgres(): TestPostgres {
    const { postgres } = this.#started
    if (postgres === null) throw new Error('the gateway has its own Postgres')
    return postgres
  }

  /** The Redis that they share. Throws where there is none. */
  get redis(): TestRedis {
    const { redis } = this.#started
    if (redis === null) throw new Error('the gateways have no Redis')
    return redis
  }

  /** The way on which the gateways reach Postgres. Throws where it is not severable. */
  get toPostgres(): TcpProxy {
    const { toPostgres } = this.#started
    if (toPostgres === null) throw new Error('nothing can be done to the way to Postgres')
    return toPostgres
  }

  get clock(): DatabaseClock {
    return new DatabaseClock(this.postgres, this.#databaseName)
  }

  /** The gateways that can be talked to. */
  get gateways(): readonly Gateway[] {
    return this.#started.gateways.filter((gateway) => gateway.awake)
  }

  /** A gateway that can be talked to, by a number that chooses; waits for one where none does. */
  async gateway(choice: number): Promise<Gateway> {
    for (;;) {
      const { gateways } = this
      const chosen = gateways[choice % gateways.length]
      if (chosen !== undefined) return chosen
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Starts a gateway in the place of one that has ended. */
  async replace(ended: Gateway, settings: Readonly<Record<string, string>> = {}): Promise<Gateway> {
    const gateway = await startGateway({ ...this.#settings, ...settings })
    const { gateways } = this.#started
    gateways[gateways.indexOf(ended)] = gateway
    for (const resolve of this.#waiting.splice(0)) resolve()
    return gateway
  }

  /** A request to the admin API of the first gateway that runs; its answer. */
  async admin(method: string, path: string, body?: unknown): Promise<unknown> {
    return (await this.gateway(0)).admin(method, path, body)
  }

  async mint(
    name: string,
    { total, others = {}, group, fit = 'refuse', retries = 0, limits = [] }: KeyOptions,
  ): Promise<ProofKey> {
    const budgets = Object.entries({ ...others, total })
    const minted = await this.admin('POST', '/keys', {
      name,
      fit,
      retries,
      providerKeys: [providerKey],
      limits,
      budgets: budgets.map(([period, limit]) => ({ period, limitUsd: formatUsd(limit) })),
      ...(group === undefined ? {} : { group }),
    })
    const { id, key } = mintedProxyKeyWire.parse(minted)
    return { id, token: key }
  }

  /** Makes a group with a `total` budget; its id. */
  async group(name: string, total: NanoUsd): Promise<string> {
    const made = await this.admin('POST', '/groups', { name, budgets: [{ limitUsd: formatUsd(total) }] })
    return groupWire.parse(made).id
  }

  /** Gives the organization a `total` budget, or another limit to the one that it has. */
  async limitOrganization(total: NanoUsd): Promise<void> {
    await this.admin('PATCH', '/organization', { budgets: [{ limitUsd: formatUsd(total) }] })
  }

  /** Changes the budget that a key has for a period. */
  async changeBudget(key: ProofKey, change: ChangeBudgetWire, period: BudgetPeriod = 'total'): Promise<void> {
    const { budget } = await this.ledger.window('key', key.id, period)
    budgetWire.parse(await this.admin('PATCH', `/budgets/${budget}`, change))
  }

  /** Gives a key another limit for a period. */
  limit(key: ProofKey, limit: NanoUsd, period: BudgetPeriod = 'total'): Promise<void> {
    return this.changeBudget(key, { limitUsd: formatUsd(limit) }, period)
  }

  /**
   * Resolves when nothing is in flight and everything is recorded: the upstream serves nobody, and no gateway has a
   * record to write. Its clients must be gone. Throws where that does not come about.
   */
  async quiet(): Promise<void> {
    let last = -1
    await this.until('nothing is in flight', async () => {
      const { inFlight, requests } = await this.upstream.books()
      const statuses = await Promise.all(this.gateways.map((gateway) => gateway.status()))
      const idle = inFlight === 0 && statuses.every(({ records }) => records.taken === 0)
      const twice = idle && requests === last
      last = idle ? requests : -1
      return twice
    })
  }

  /** Looks until `condition` holds. Throws where it does not within half a minute, or the time given. */
  async until(what: string, condition: () => Promise<boolean>, milliseconds = patienceMs): Promise<void> {
    const deadline = performance.now() + milliseconds
    while (!(await condition())) {
      if (performance.now() > deadline)
        throw new Error(`in ${milliseconds / 1000} s it did not come about that ${what}`)
      await sleep(lookAgainMs)
    }
  }

  /** Stops everything and removes what is left of it. Exit codes of gateways other than 0 are returned. */
  async discard(): Promise<readonly string[]> {
    await this.clients.close()
    await this.#database.close()
    const codes = await stopAll(this.#started)
    return codes
      .filter((code) => code !== 0 && code !== null)
      .map((code) => `a gateway ended with ${code} when it was told to stop`)
  }
}

/** What a deployment has started so far. */
interface Started {
  readonly directory: string
  readonly gateways: Gateway[]
  upstream: Upstream | null
  postgres: TestPostgres | null
  redis: TestRedis | null
  toPostgres: TcpProxy | null
}

const nothingYet = { upstream: null, postgres: null, redis: null, toPostgres: null } as const

const unfinished = new Set<Started>()

/** Stops every deployment there is: for a proof that is broken off. */
export async function discardAll(): Promise<void> {
  await Promise.all([...unfinished].map(stopAll))
}

/** The exit codes of the gateways. */
async function stopAll(started: Started): Promise<readonly (number | null)[]> {
  const { directory, gateways, upstream, postgres, redis, toPostgres } = started
  const codes = await Promise.all(gateways.map((gateway) => gateway.stop()))
  await upstream?.stop()
  await toPostgres?.close()
  await postgres?.discard()
  await redis?.discard()
  rmSync(directory, { recursive: true, force: true, maxRetries: 10 })
  unfinished.delete(started)
  return codes
}

function onPort(url: string, port: number): string {
  const other = new URL(url)
  other.port = String(port)
  return other.href
}

function temporaryDirectory(): string {
  return mkdtempSync(join(realpathSync(tmpdir()), 'latchkey-proof-'))
}
