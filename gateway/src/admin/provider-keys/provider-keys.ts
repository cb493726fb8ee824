import {
  type addProviderKeyWire,
  type Clock,
  type changeProviderKeyWire,
  type Database,
  LatchkeyError,
  type OrganizationId,
  type Page,
  type PageQuery,
  type ProviderKeyWire,
  type RandomBytes,
  type RemovedProviderKeyWire,
  type ScopeBudgetWire,
  Secret,
} from '@latchkey/shared'
import type { ProviderKey, Vault } from '@latchkey/vault'
import type { Kysely } from 'kysely'
import type { z } from 'zod'
import { findProvider } from '../../providers/registry.ts'
import { decodeCursor, encodeCursor } from '../cursor.ts'
import { readScopeBudgets, setScopeBudgets } from '../scope-budgets.ts'

/** What every operation on provider keys needs. */
export interface ProviderKeySurroundings {
  readonly vault: Vault
  readonly database: Kysely<Database>
  readonly organizationId: OrganizationId
  readonly clock: Clock
  readonly random: RandomBytes
}

/** What the vault seals for a provider that has no secret. */
const noSecret = 'simulator'

/** One page of the provider keys, by name. There are few: the vault reads them all. */
export async function listProviderKeys(
  { vault, database, organizationId }: ProviderKeySurroundings,
  query: PageQuery,
): Promise<Page<ProviderKeyWire>> {
  const [after = ''] = query.cursor === undefined ? [] : decodeCursor(query.cursor, 1)
  const keys = await vault.providerKeys.list(organizationId)
  const start = after === '' ? 0 : keys.findIndex((key) => key.name === after) + 1
  if (after !== '' && start === 0) {
    throw new LatchkeyError('conflict', {
      message: 'The page before ended at a key that is gone. Begin anew.',
    })
  }
  const page = keys.slice(start, start + query.limit)
  const last = start + query.limit < keys.length ? page.at(-1) : undefined
  return {
    data: await toWires(database, page),
    nextCursor: last === undefined ? null : encodeCursor([last.name]),
  }
}

/** Seals a new provider key. Calls no provider. Throws `name_taken`, `invalid_request`, `vault_sealed`. */
export async function addProviderKey(
  { vault, database, organizationId }: ProviderKeySurroundings,
  input: z.output<typeof addProviderKeyWire>,
): Promise<ProviderKeyWire> {
  const { name, provider } = input
  const baseUrl = input.baseUrl ?? findProvider(provider)?.defaultBaseUrl
  if (baseUrl == null) {
    throw new LatchkeyError('invalid_request', { message: 'baseUrl is required.', param: 'baseUrl' })
  }
  const secret = new Secret(input.secret ?? noSecret)
  const added = await vault.providerKeys.add({ organizationId, name, provider, baseUrl, secret })
  switch (added.kind) {
    case 'added':
      return toWire(database, added.key)
    case 'name-taken':
      throw new LatchkeyError('name_taken', {
        message: 'A provider key has this name already.',
        param: 'name',
      })
    default:
      return added satisfies never
  }
}

/** Throws `not_found`. */
export async function showProviderKey(
  { vault, database, organizationId }: ProviderKeySurroundings,
  name: string,
): Promise<ProviderKeyWire> {
  const found = await vault.providerKeys.get(organizationId, name)
  if (found.kind === 'not-found') throw noSuchProviderKey()
  return toWire(database, found.key)
}

/** Throws `not_found`, `invalid_request`, and `conflict` where it is at another revision. */
export async function changeProviderKey(
  { vault, database, organizationId, clock, random }: ProviderKeySurroundings,
  name: string,
  { budgets = [], limits, revision }: z.output<typeof changeProviderKeyWire>,
): Promise<ProviderKeyWire> {
  const changed = await vault.providerKeys.change(organizationId, name, {
    ...(limits === undefined ? {} : { limits }),
    ...(revision === undefined ? {} : { revision }),
    alongside: (trx, id) =>
      setScopeBudgets(trx, { organizationId, kind: 'provider_key', id }, budgets, clock, random),
  })
  switch (changed.kind) {
    case 'changed':
      return toWire(database, changed.key)
    case 'not-found':
      throw noSuchProviderKey()
    case 'conflict':
      throw new LatchkeyError('conflict', { param: 'revision' })
    default:
      return changed satisfies never
  }
}

/** Replaces the secret; name, origin and bindings stay. Throws `not_found`, `invalid_request`, `vault_sealed`. */
export async function rotateProviderKey(
  { vault, database, organizationId }: ProviderKeySurroundings,
  name: string,
  secret: Secret,
): Promise<ProviderKeyWire> {
  const rotated = await vault.providerKeys.rotate(organizationId, name, secret)
  if (rotated.kind === 'not-found') throw noSuchProviderKey()
  return toWire(database, rotated.key)
}

/** Throws `not_found`, and `provider_key_in_use` unless bound proxy keys may be revoked with it. */
export async function removeProviderKey(
  { vault, organizationId }: ProviderKeySurroundings,
  name: string,
  revokeKeys: boolean,
): Promise<RemovedProviderKeyWire> {
  const removed = await vault.providerKeys.remove(organizationId, name, { revokeKeys })
  switch (removed.kind) {
    case 'removed':
      return { name, revokedKeys: [...removed.revoked] }
    case 'in-use':
      throw new LatchkeyError('provider_key_in_use', {
        message: `${removed.boundKeys} proxy ${removed.boundKeys === 1 ? 'key is' : 'keys are'} bound to this provider key. Revoke them first, or with it (revokeKeys).`,
        details: { boundKeys: removed.boundKeys },
      })
    case 'not-found':
      throw noSuchProviderKey()
    default:
      return removed satisfies never
  }
}

export function noSuchProviderKey(): LatchkeyError {
  return new LatchkeyError('not_found', { message: 'There is no provider key of this name.', param: 'name' })
}

async function toWires(database: Kysely<Database>, keys: readonly ProviderKey[]): Promise<ProviderKeyWire[]> {
  const ids = keys.map((key) => key.id)
  const budgets = await readScopeBudgets(database, 'provider_key', ids)
  return keys.map((key) => wireOf(key, budgets.get(key.id) ?? []))
}

async function toWire(database: Kysely<Database>, key: ProviderKey): Promise<ProviderKeyWire> {
  const budgets = await readScopeBudgets(database, 'provider_key', [key.id])
  return wireOf(key, budgets.get(key.id) ?? [])
}

function wireOf(key: ProviderKey, budgets: readonly ScopeBudgetWire[]): ProviderKeyWire {
  return {
    id: key.id,
    name: key.name,
    provider: key.provider,
    baseUrl: key.baseUrl,
    maskedTail: key.maskedTail,
    boundKeys: key.boundKeys,
    budgets: [...budgets],
    limits: [...key.limits],
    revision: key.revision,
    createdAt: key.createdAt.toISOString(),
    rotatedAt: key.rotatedAt?.toISOString() ?? null,
    lastUsedAt: key.lastUsedAt?.toISOString() ?? null,
  }
}
