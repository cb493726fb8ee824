import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createLog,
  type GroupId,
  Secret,
  type StoredLimit,
  type StoredPolicy,
  systemClock,
  systemRandom,
} from '@latchkey/shared'
import type { DatabaseHandle } from '@latchkey/shared/database'
import {
  openPolicy,
  openVault,
  type Principal,
  type ProxyKey,
  type Vault,
  type VaultOptions,
} from '@latchkey/vault'
import { beforeAll, beforeEach, onTestFinished } from 'vitest'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** A vault on a database and a root key file of its own. */
export interface TestVault {
  readonly vault: Vault
  readonly database: TestDatabase
  readonly rootKeyPath: string
  /** What the vault has logged, one JSON line each. */
  readonly logged: readonly string[]
  /** Another process, as far as anybody can tell: same database, same root key. */
  open(options?: Partial<VaultOptions>): Promise<Vault>
}

/** Opens a vault and closes it, and its database, when the test has finished. */
export async function testVault(options: Partial<VaultOptions> = {}): Promise<TestVault> {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  return testVaultOn(database, options)
}

/** The same, on a database that the caller opened. */
export function testVaultOn(database: TestDatabase, options: Partial<VaultOptions> = {}): Promise<TestVault> {
  return build(database, temporaryDirectory(), options, onTestFinished)
}

/** One vault for the tests of a `describe`, emptied of its keys before each of them. */
export function vaultOfSuite(): () => TestVault {
  let fixture: TestVault | undefined
  beforeAll(async () => {
    const database = await startTestDatabase()
    const directory = mkdtempSync(join(tmpdir(), 'latchkey-test-'))
    const closings: (() => Promise<void>)[] = []
    fixture = await build(database, directory, {}, (close) => closings.unshift(close))
    return async () => {
      for (const close of closings) await close()
      await database.close()
      rmSync(directory, { recursive: true })
    }
  })
  beforeEach(async () => {
    await fixture?.database.pool.query('delete from proxy_key')
    await fixture?.database.pool.query('delete from proxy_group')
    await fixture?.database.pool.query('delete from provider_key')
  })
  return () => {
    if (fixture === undefined) throw new Error('asked for outside of a test')
    return fixture
  }
}

async function build(
  database: TestDatabase,
  directory: string,
  options: Partial<VaultOptions>,
  atEnd: (close: () => Promise<void>) => void,
): Promise<TestVault> {
  const rootKeyPath = join(directory, 'root.key')
  const logged: string[] = []
  const log = createLog('debug', { write: (line) => void logged.push(line) })
  const open = async (more: Partial<VaultOptions> = {}): Promise<Vault> => {
    const vault = await openVault({
      db: database.kysely,
      rootKey: { kind: 'file', path: rootKeyPath },
      clock: systemClock,
      random: systemRandom,
      log,
      // Without a listener the others are told by their polls; most tests have none that matter.
      peerPatienceMs: 50,
      ...options,
      ...more,
    })
    atEnd(() => vault.close())
    await vault.rotationIdle()
    return vault
  }
  return { vault: await open(), database, rootKeyPath, logged, open }
}

/** A secret like a provider's, and different each time. */
export function providerSecret(mark = 'canary'): Secret {
  return new Secret(`sk-${mark}-${Buffer.from(systemRandom(24)).toString('hex')}`)
}

/** Stores a provider key and gives its secret. */
export async function addProviderKey(
  vault: Vault,
  name: string,
  options: { readonly provider?: string; readonly baseUrl?: string; readonly secret?: Secret } = {},
): Promise<Secret> {
  const secret = options.secret ?? providerSecret(name)
  const added = await vault.providerKeys.add({
    organizationId: vault.defaultOrganizationId,
    name,
    provider: options.provider ?? 'openai',
    baseUrl: options.baseUrl ?? 'https://api.openai.com/v1',
    secret,
  })
  if (added.kind !== 'added') throw new Error(`not added: ${added.kind}`)
  return secret
}

/** Makes a group and gives its id. */
export async function addGroup(
  vault: Vault,
  name: string,
  limits: readonly StoredLimit[] = [],
): Promise<GroupId> {
  const created = await vault.groups.create({
    organizationId: vault.defaultOrganizationId,
    name,
    description: '',
    limits,
  })
  if (created.kind !== 'created') throw new Error(`not created: ${created.kind}`)
  return created.group.id
}

export interface MintOptions {
  readonly name?: string
  readonly policy?: StoredPolicy
  readonly expiresAt?: Date | null
  readonly group?: GroupId
}

export interface Minted {
  readonly key: ProxyKey
  readonly token: string
}

/** Mints a proxy key for provider keys that exist. */
export async function mint(
  vault: Vault,
  providerKeys: readonly string[],
  options: MintOptions = {},
): Promise<Minted> {
  const created = await vault.proxyKeys.create({
    organizationId: vault.defaultOrganizationId,
    name: options.name ?? 'alice',
    description: '',
    tags: [],
    policy: options.policy ?? openPolicy,
    expiresAt: options.expiresAt ?? null,
    group: options.group ?? null,
    providerKeys,
  })
  if (created.kind !== 'created') throw new Error(`not created: ${created.kind}`)
  return { key: created.key, token: created.token.reveal() }
}

/** The principal of a token that is right. */
export async function principalOf(vault: Vault, token: string): Promise<Principal> {
  const verification = await vault.verifier.verify(token)
  if (verification.kind !== 'verified') throw new Error(verification.kind)
  return verification.principal
}

/** Writes into the database past the vault, as an intruder would. */
export async function intrude(
  database: DatabaseHandle,
  statement: string,
  values: unknown[],
): Promise<number> {
  const result = await database.pool.query(statement, values)
  return result.rowCount ?? 0
}
