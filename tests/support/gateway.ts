import { randomUUID } from 'node:crypto'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type budgetLimitWire,
  type GroupId,
  pageLimitMost,
  type RefusalWire,
  type RequestWire,
  refusalPageWire,
  requestsWire,
  Secret,
  type StoredLimit,
  type StoredPolicy,
  systemClock,
  systemRandom,
} from '@latchkey/shared'
import { openPolicy, type Vault } from '@latchkey/vault'
import { inject } from 'vitest'
import type { z } from 'zod'
import { setScopeBudgets } from '../../gateway/src/admin/scope-budgets.ts'
import { readAdminToken } from '../../gateway/src/admin/token.ts'
import { readConfig } from '../../gateway/src/config.ts'
import { startGateway } from '../../gateway/src/runtime/gateway.ts'
import { type RecordedLog, recordLog } from './recorded-log.ts'
import { copyDatabase } from './shared-servers.ts'

/** A proxy key for a test, in the clear. */
export interface TestKey {
  readonly id: string
  readonly token: string
}

/** Where a provider key points; `openai-compatible` unless said otherwise. */
export interface TestProvider {
  readonly baseUrl: string
  readonly provider?: string
  readonly secret?: string
  readonly budgets?: readonly z.output<typeof budgetLimitWire>[]
  readonly limits?: readonly StoredLimit[]
}

export interface TestKeyOptions extends Partial<StoredPolicy> {
  readonly expiresAt?: Date
  /** Dollars that it may spend, in each window of their period. */
  readonly budgets?: readonly z.output<typeof budgetLimitWire>[]
  readonly group?: GroupId
}

/**
 * A gateway of this process, with a database and ports of its own: embedded, or in server mode where its project has
 * servers for it.
 */
export interface TestGateway {
  /** Origins of the data plane and the admin plane. */
  readonly url: string
  readonly adminUrl: string
  readonly dataDirectory: string
  readonly vault: Vault
  readonly log: RecordedLog
  readonly adminToken: string
  /** Stores a provider key for each upstream and mints a proxy key that is bound to them, in that order. */
  keyFor(providers: TestProvider | readonly TestProvider[], options?: TestKeyOptions): Promise<TestKey>
  /** The records of a key (1,000 at the most), oldest first, once there are `count`; throws after 20 s without them. */
  records(key: TestKey, count?: number): Promise<readonly RequestWire[]>
  /** The counts of refusals of unknown keys. */
  refusals(): Promise<readonly RefusalWire[]>
  stop(): Promise<void>
}

const patienceMs = 20_000
const lookAgainMs = 25

/**
 * Starts a gateway on free ports that may reach upstreams on the loopback interface. `env` adds to its
 * settings; a data directory that it names is kept at the end, any other is removed.
 */
export async function startTestGateway(env: Readonly<Record<string, string>> = {}): Promise<TestGateway> {
  const dataDirectory = env.LATCHKEY_DATA_DIR ?? mkdtempSync(join(realpathSync(tmpdir()), 'latchkey-test-'))
  const log = recordLog()
  const config = readConfig({
    LATCHKEY_DATA_DIR: dataDirectory,
    LATCHKEY_PORT: '0',
    LATCHKEY_ADMIN_PORT: '0',
    LATCHKEY_ALLOW_UPSTREAM_CIDRS: '127.0.0.0/8',
    ...(env.DATABASE_URL === undefined ? await serverSettings(dataDirectory) : {}),
    ...env,
  })
  const gateway = await startGateway(config, { clock: systemClock, random: systemRandom, log })
  const adminToken = readAdminToken(dataDirectory)?.reveal() ?? ''
  const admin = async (path: string): Promise<unknown> => {
    const response = await fetch(`${gateway.adminUrl}/api${path}`, {
      headers: { authorization: `Bearer ${adminToken}` },
    })
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }
  return {
    url: gateway.dataUrl,
    adminUrl: gateway.adminUrl,
    dataDirectory,
    vault: gateway.vault,
    log,
    adminToken,
    keyFor: (providers, options) => mint(gateway.vault, [providers].flat(), options),
    async records(key, count = 1) {
      const deadline = Date.now() + patienceMs
      for (;;) {
        const { data } = requestsWire.parse(await admin(`/requests?key=${key.id}&limit=${pageLimitMost}`))
        if (data.length >= count) return data
        if (Date.now() > deadline) throw new Error(`${data.length} records, not ${count}`)
        await new Promise((resolve) => setTimeout(resolve, lookAgainMs))
      }
    },
    refusals: async () => refusalPageWire.parse(await admin('/refusals')).data,
    async stop() {
      await gateway.stop()
      if (env.LATCHKEY_DATA_DIR === undefined)
        rmSync(dataDirectory, { recursive: true, force: true, maxRetries: 10 })
    },
  }
}

/** The databases that this test file has, by the data directories of their gateways. */
const databases = new Map<string, Promise<string>>()

/** What a gateway is told in server mode; nothing where it runs embedded. A data directory keeps its database. */
async function serverSettings(dataDirectory: string): Promise<Readonly<Record<string, string>>> {
  const servers = inject('sharedServers')
  if (servers === undefined) return {}
  if (servers.redis.kind === 'missing') throw new Error(servers.redis.reason)
  const database = databases.get(dataDirectory) ?? copyDatabase(servers)
  databases.set(dataDirectory, database)
  return { DATABASE_URL: await database, REDIS_URL: servers.redis.url }
}

async function mint(
  vault: Vault,
  providers: readonly TestProvider[],
  { expiresAt, budgets = [], group, ...policy }: TestKeyOptions = {},
): Promise<TestKey> {
  const organizationId = vault.defaultOrganizationId
  const names: string[] = []
  for (const {
    provider = 'openai-compatible',
    baseUrl,
    secret,
    budgets: own = [],
    limits = [],
  } of providers) {
    const name = `provider-${randomUUID()}`
    const added = await vault.providerKeys.add({
      ...{ organizationId, name, provider, baseUrl },
      secret: new Secret(secret ?? `sk-${randomUUID()}`),
    })
    if (added.kind !== 'added') throw new Error(added.kind)
    const { id } = added.key
    await vault.changes.transact((trx) =>
      setScopeBudgets(trx, { organizationId, kind: 'provider_key', id }, own, systemClock, systemRandom),
    )
    if (limits.length > 0) await vault.providerKeys.change(organizationId, name, { limits })
    names.push(name)
  }
  const created = await vault.proxyKeys.create({
    organizationId,
    name: `key-${randomUUID()}`,
    description: '',
    tags: [],
    policy: { ...openPolicy, ...policy },
    expiresAt: expiresAt ?? null,
    providerKeys: names,
    group: group ?? null,
    alongside: (trx, id) =>
      setScopeBudgets(trx, { organizationId, kind: 'key', id }, budgets, systemClock, systemRandom),
  })
  if (created.kind !== 'created') throw new Error(created.kind)
  return { id: created.key.id, token: created.token.reveal() }
}
