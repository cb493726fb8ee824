import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type BudgetPeriod,
  budgetWire,
  type ChangeBudgetWire,
  connectDatabase,
  createLog,
  type DatabaseHandle,
  formatUsd,
  groupWire,
  mintedProxyKeyWire,
  type NanoUsd,
} from '@latchkey/shared'
import { startPostgres, type TestPostgres } from '../../support/postgres.ts'
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
  /** What a shared database's clock says at first (ISO 8601), if it is one that can be set. */
  readonly clock?: string
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
}

const patienceMs = 30_000
const lookAgainMs = 50
const providerKey = 'upstream'

/** Gateways, their database and their upstream, each a process (or several) of its own. */
export class Deployment {
  readonly upstream: Upstream
  readonly ledger: Ledger
  readonly clients = new Clients()
  /** Null where the gateway has its own. */
  readonly #postgres: TestPostgres | null
  readonly #databaseName: string
  readonly #settings: Readonly<Record<string, string>>
  readonly #database: DatabaseHandle
  /** Of its gateways: what they keep, and the embedded Postgres's log. */
  readonly dataDirectory: string
  readonly #gateways: Gateway[]
  #waiting: (() => void)[] = []

  private constructor(
    directory: string,
    settings: Readonly<Record<string, string>>,
    gateways: Gateway[],
    upstream: Upstream,
    postgres: TestPostgres | null,
    databaseName: string,
    database: DatabaseHandle,
  ) {
    this.dataDirectory = directory
    this.#settings = settings
    this.#gateways = gateways
    this.upstream = upstream
    this.#postgres = postgres
    this.#databaseName = databaseName
    this.#database = database
    this.ledger = new Ledger(database.pool)
  }

  static async start(options: DeploymentOptions): Promise<Deployment> {
    const directory = mkdtempSync(join(realpathSync(tmpdir()), 'latchkey-proof-'))
    const [upstream, postgres] = await Promise.all([
      startUpstream(options.seed),
      options.database === 'shared' ? startPostgres({ maxConnections: 100 }) : null,
    ])
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
      ...(postgres === null ? {} : { DATABASE_URL: postgres.url(name) }),
      ...options.settings,
    }
    const gateways = await Promise.all(
      Array.from({ length: options.processes }, () => startGateway(settings)),
    )
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
    const deployment = new Deployment(directory, settings, gateways, upstream, postgres, name, database)
    await deployment.admin('POST', '/provider-keys', {
      name: providerKey,
      provider: 'simulator',
      baseUrl: upstream.baseUrl,
    })
    return deployment
  }

  /** The Postgres that the gateways share. Throws where there is none. */
  get postgres(): TestPostgres {
    if (this.#postgres === null) throw new Error('the gateway has its own Postgres')
    return this.#postgres
  }

  get clock(): DatabaseClock {
    return new DatabaseClock(this.postgres, this.#databaseName)
  }

  /** The gateways that can be talked to. */
  get gateways(): readonly Gateway[] {
    return this.#gateways.filter((gateway) => gateway.awake)
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
    this.#gateways[this.#gateways.indexOf(ended)] = gateway
    for (const resolve of this.#waiting.splice(0)) resolve()
    return gateway
  }

  /** A request to the admin API of the first gateway that runs; its answer. */
  async admin(method: string, path: string, body?: unknown): Promise<unknown> {
    return (await this.gateway(0)).admin(method, path, body)
  }

  async mint(
    name: string,
    { total, others = {}, group, fit = 'refuse', retries = 0 }: KeyOptions,
  ): Promise<ProofKey> {
    const limits = Object.entries({ ...others, total })
    const minted = await this.admin('POST', '/keys', {
      name,
      fit,
      retries,
      providerKeys: [providerKey],
      budgets: limits.map(([period, limit]) => ({ period, limitUsd: formatUsd(limit) })),
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
    const codes = await Promise.all(this.#gateways.map((gateway) => gateway.stop()))
    await this.#database.close()
    await this.upstream.stop()
    await this.#postgres?.discard()
    rmSync(this.dataDirectory, { recursive: true, force: true, maxRetries: 10 })
    return codes
      .filter((code) => code !== 0 && code !== null)
      .map((code) => `a gateway ended with ${code} when it was told to stop`)
  }
}
