import {
  type addProviderKeyWire,
  LatchkeyError,
  type OrganizationId,
  type Page,
  type PageQuery,
  type ProviderKeyWire,
  type RemovedProviderKeyWire,
  Secret,
} from '@latchkey/shared'
import type { ProviderKey, Vault } from '@latchkey/vault'
import type { z } from 'zod'
import { findProvider } from '../../providers/registry.ts'
import { decodeCursor, encodeCursor } from '../cursor.ts'

/** What the vault seals for a provider that has no secret. */
const noSecret = 'simulator'

/** One page of the provider keys, by name. There are few: the vault reads them all. */
export async function listProviderKeys(
  vault: Vault,
  organizationId: OrganizationId,
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
  return { data: page.map(toWire), nextCursor: last === undefined ? null : encodeCursor([last.name]) }
}

/** Seals a new provider key. Calls no provider. Throws `name_taken`, `invalid_request`, `vault_sealed`. */
export async function addProviderKey(
  vault: Vault,
  organizationId: OrganizationId,
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
      return toWire(added.key)
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
  vault: Vault,
  organizationId: OrganizationId,
  name: string,
): Promise<ProviderKeyWire> {
  const found = await vault.providerKeys.get(organizationId, name)
  if (found.kind === 'not-found') throw noSuchProviderKey()
  return toWire(found.key)
}

/** Replaces the secret; name, origin and bindings stay. Throws `not_found`, `invalid_request`, `vault_sealed`. */
export async function rotateProviderKey(
  vault: Vault,
  organizationId: OrganizationId,
  name: string,
  secret: Secret,
): Promise<ProviderKeyWire> {
  const rotated = await vault.providerKeys.rotate(organizationId, name, secret)
  if (rotated.kind === 'not-found') throw noSuchProviderKey()
  return toWire(rotated.key)
}

/** Throws `not_found`, and `provider_key_in_use` unless bound proxy keys may be revoked with it. */
export async function removeProviderKey(
  vault: Vault,
  organizationId: OrganizationId,
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

function toWire(key: ProviderKey): ProviderKeyWire {
  return {
    id: key.id,
    name: key.name,
    provider: key.provider,
    baseUrl: key.baseUrl,
    maskedTail: key.maskedTail,
    boundKeys: key.boundKeys,
    createdAt: key.createdAt.toISOString(),
    rotatedAt: key.rotatedAt?.toISOString() ?? null,
    lastUsedAt: key.lastUsedAt?.toISOString() ?? null,
  }
}
