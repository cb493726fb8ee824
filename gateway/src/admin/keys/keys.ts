import {
  type Clock,
  type changeProxyKeyWire,
  type Database,
  LatchkeyError,
  type MintedProxyKeyWire,
  type OrganizationId,
  type Page,
  type ProxyKeyId,
  type ProxyKeyWire,
  parseProxyKeyId,
  type proxyKeysQuery,
  type RandomBytes,
  type RevokedAllWire,
  type rotateProxyKeyWire,
} from '@latchkey/shared'
import type { MissingTie, ProxyKeyPlace, Unchangeable, Vault } from '@latchkey/vault'
import type { Kysely } from 'kysely'
import type { z } from 'zod'
import { decodeCursor, encodeCursor, invalidCursor, momentInCursor } from '../cursor.ts'
import { resolveGroup } from '../groups/groups.ts'
import { setScopeBudgets } from '../scope-budgets.ts'
import { momentOf, policyPart } from './key-input.ts'
import { toWire, toWires } from './key-wire.ts'

/** What every operation on proxy keys needs. */
export interface KeySurroundings {
  readonly vault: Vault
  readonly database: Kysely<Database>
  readonly organizationId: OrganizationId
  readonly clock: Clock
  readonly random: RandomBytes
}

/** One page of the proxy keys, newest first; with `name` or `group`, of those that are named so or in it. */
export async function listKeys(
  { vault, database, organizationId, clock }: KeySurroundings,
  { limit, cursor, name, group }: z.output<typeof proxyKeysQuery>,
): Promise<Page<ProxyKeyWire>> {
  const page = await vault.proxyKeys.list({
    organizationId,
    limit,
    after: cursor === undefined ? null : decodePlace(cursor),
    name,
    group: group === undefined ? undefined : await resolveGroup(vault, organizationId, group),
  })
  const last = page.more ? page.keys.at(-1) : undefined
  return {
    data: await toWires(database, page.keys, clock.now()),
    nextCursor: last === undefined ? null : encodeCursor([last.createdAt.toISOString(), last.id]),
  }
}

function decodePlace(cursor: string): ProxyKeyPlace {
  const [time = '', text = ''] = decodeCursor(cursor, 2)
  const id = parseProxyKeyId(text)
  if (id === null) throw invalidCursor()
  return { createdAt: momentInCursor(time), id }
}

/** Throws `not_found`. */
export async function showKey(
  { vault, database, organizationId, clock }: KeySurroundings,
  id: ProxyKeyId,
): Promise<ProxyKeyWire> {
  const shown = await vault.proxyKeys.show(organizationId, id)
  if (shown.kind === 'not-found') throw unchanged(shown)
  return toWire(database, shown.key, clock.now())
}

/** Changes what `input` names. Throws `not_found`, `conflict`, `invalid_request` and `vault_sealed`. */
export async function changeKey(
  { vault, database, organizationId, clock, random }: KeySurroundings,
  id: ProxyKeyId,
  input: z.output<typeof changeProxyKeyWire>,
): Promise<ProxyKeyWire> {
  const { name, email, description, tags, providerKeys, expiresAt, budgets, revision } = input
  const policy = policyPart(input)
  const group =
    typeof input.group === 'string' ? await resolveGroup(vault, organizationId, input.group) : input.group
  const changed = await vault.proxyKeys.change(organizationId, id, {
    ...(name === undefined ? {} : { name }),
    ...(email === undefined ? {} : { email }),
    ...(description === undefined ? {} : { description }),
    ...(tags === undefined ? {} : { tags }),
    ...(providerKeys === undefined ? {} : { providerKeys }),
    ...(group === undefined ? {} : { group }),
    ...(Object.keys(policy).length === 0 ? {} : { policy }),
    ...(expiresAt === undefined ? {} : { expiresAt: momentOf(expiresAt) }),
    ...(revision === undefined ? {} : { revision }),
    ...(budgets === undefined
      ? {}
      : {
          alongside: (trx) =>
            setScopeBudgets(trx, { organizationId, kind: 'key', id }, budgets, clock, random),
        }),
  })
  switch (changed.kind) {
    case 'changed':
      return toWire(database, changed.key, clock.now())
    case 'group-not-found':
    case 'provider-key-not-found':
      throw noSuchTie(changed)
    default:
      throw unchanged(changed)
  }
}

/** Throws `not_found`, and `conflict` where the key can't change any more. */
export async function switchKey(
  { vault, database, organizationId, clock }: KeySurroundings,
  id: ProxyKeyId,
  change: 'pause' | 'resume',
): Promise<ProxyKeyWire> {
  const changed = await vault.proxyKeys[change](organizationId, id)
  if (changed.kind !== 'changed') throw unchanged(changed)
  return toWire(database, changed.key, clock.now())
}

/** Ends a key for good; of a compromised one its running requests, too. Throws `not_found`. */
export async function revokeKey(
  { vault, database, organizationId, clock }: KeySurroundings,
  id: ProxyKeyId,
  compromised: boolean,
): Promise<ProxyKeyWire> {
  const changed = await vault.proxyKeys.revoke(organizationId, id, { compromised })
  if (changed.kind !== 'changed') throw unchanged(changed)
  return toWire(database, changed.key, clock.now())
}

/** The emergency button: ends every key. Throws `vault_sealed`. */
export async function revokeAllKeys({ vault, organizationId }: KeySurroundings): Promise<RevokedAllWire> {
  return { revoked: await vault.proxyKeys.revokeAll(organizationId) }
}

/** Gives the key a new token, shown in this answer only. Throws `not_found`, `conflict`, `vault_sealed`, `overloaded`. */
export async function rotateKey(
  { vault, database, organizationId, clock }: KeySurroundings,
  id: ProxyKeyId,
  { graceSeconds, revision }: z.output<typeof rotateProxyKeyWire>,
): Promise<MintedProxyKeyWire> {
  const rotated = await vault.proxyKeys.rotate(organizationId, id, {
    graceMs: graceSeconds * 1000,
    ...(revision === undefined ? {} : { revision }),
  })
  if (rotated.kind !== 'rotated') throw unchanged(rotated)
  return { ...(await toWire(database, rotated.key, clock.now())), key: rotated.token.reveal() }
}

/** The fault of a request that names a provider key or a group which is not there. */
export function noSuchTie(missing: MissingTie): LatchkeyError {
  switch (missing.kind) {
    case 'provider-key-not-found':
      return new LatchkeyError('invalid_request', {
        message: `There is no provider key named ${missing.name}.`,
        param: 'providerKeys',
      })
    case 'group-not-found':
      return new LatchkeyError('invalid_request', { message: 'There is no such group.', param: 'group' })
    default:
      return missing satisfies never
  }
}

function unchanged(reason: Unchangeable): LatchkeyError {
  switch (reason.kind) {
    case 'not-found':
      return new LatchkeyError('not_found', { message: 'There is no proxy key of this id.', param: 'id' })
    case 'revoked':
      return new LatchkeyError('conflict', {
        message: 'This key is revoked, which is final. Create a new one.',
      })
    case 'tampered':
      return new LatchkeyError('conflict', {
        message: 'This key was changed in the database without the vault, and is refused. Create a new one.',
      })
    case 'conflict':
      return new LatchkeyError('conflict')
    default:
      return reason satisfies never
  }
}
