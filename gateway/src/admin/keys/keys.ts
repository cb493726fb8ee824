import {
  type createProxyKeyWire,
  LatchkeyError,
  type MintedProxyKeyWire,
  type OrganizationId,
  type Page,
  type PageQuery,
  type ProxyKeyId,
  type ProxyKeyStatus,
  type ProxyKeyWire,
  parseAddress,
  type rotateProxyKeyWire,
} from '@latchkey/shared'
import type { ProxyKey, Unchangeable, Vault } from '@latchkey/vault'
import type { z } from 'zod'

/** What every operation on proxy keys needs: whose they are, and what time it is (milliseconds since the epoch). */
export interface KeySurroundings {
  readonly vault: Vault
  readonly organizationId: OrganizationId
  readonly now: number
}

/** One page of the proxy keys, newest first; with `name`, of those that are named exactly so. */
export async function listKeys(
  { vault, organizationId, now }: KeySurroundings,
  { limit, cursor, name }: PageQuery & { readonly name?: string | undefined },
): Promise<Page<ProxyKeyWire>> {
  const page = await vault.proxyKeys.list({ organizationId, limit, cursor: cursor ?? null, name })
  return { data: page.keys.map((key) => toWire(key, now)), nextCursor: page.nextCursor }
}

/** Mints a key; its token is in this answer and in no other. Throws `invalid_request`, `vault_sealed`, `overloaded`. */
export async function createKey(
  { vault, organizationId, now }: KeySurroundings,
  input: z.output<typeof createProxyKeyWire>,
): Promise<MintedProxyKeyWire> {
  const { name, description, tags, providerKeys, models, endpoints, allowIps, retries, expiresAt } = input
  const created = await vault.proxyKeys.create({
    organizationId,
    name,
    description,
    tags,
    providerKeys,
    policy: {
      models: models ?? null,
      endpoints: endpoints ?? null,
      allowIps: allowIps?.map(asBlock) ?? null,
      retries,
    },
    expiresAt: expiresAt == null ? null : new Date(expiresAt),
  })
  switch (created.kind) {
    case 'created':
      return { ...toWire(created.key, now), key: created.token.reveal() }
    case 'provider-key-not-found':
      throw new LatchkeyError('invalid_request', {
        message: `There is no provider key named ${created.name}.`,
        param: 'providerKeys',
      })
    default:
      return created satisfies never
  }
}

/** Throws `not_found`. */
export async function showKey(
  { vault, organizationId, now }: KeySurroundings,
  id: ProxyKeyId,
): Promise<ProxyKeyWire> {
  const shown = await vault.proxyKeys.show(organizationId, id)
  if (shown.kind === 'not-found') throw unchanged(shown)
  return toWire(shown.key, now)
}

/** Throws `not_found`, and `conflict` where the key can't change any more. */
export async function changeKey(
  { vault, organizationId, now }: KeySurroundings,
  id: ProxyKeyId,
  change: 'pause' | 'resume' | 'revoke',
): Promise<ProxyKeyWire> {
  const changed = await vault.proxyKeys[change](organizationId, id)
  if (changed.kind !== 'changed') throw unchanged(changed)
  return toWire(changed.key, now)
}

/** Gives the key a new token, shown in this answer only. Throws `not_found`, `conflict`, `vault_sealed`, `overloaded`. */
export async function rotateKey(
  { vault, organizationId, now }: KeySurroundings,
  id: ProxyKeyId,
  { graceSeconds, revision }: z.output<typeof rotateProxyKeyWire>,
): Promise<MintedProxyKeyWire> {
  const rotated = await vault.proxyKeys.rotate(organizationId, id, {
    graceMs: graceSeconds * 1000,
    ...(revision === undefined ? {} : { revision }),
  })
  if (rotated.kind !== 'rotated') throw unchanged(rotated)
  return { ...toWire(rotated.key, now), key: rotated.token.reveal() }
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

/** One bare address is the block that holds it alone. */
function asBlock(text: string): string {
  if (text.includes('/')) return text
  const address = parseAddress(text)
  return address === null ? text : `${address.toString()}/${address.kind() === 'ipv4' ? 32 : 128}`
}

function toWire(key: ProxyKey, now: number): ProxyKeyWire {
  const { models, endpoints, allowIps, retries } = key.policy
  return {
    id: key.id,
    name: key.name,
    description: key.description,
    tags: [...key.tags],
    status: statusOf(key, now),
    providerKeys: [...key.providerKeys],
    models: models === null ? null : [...models],
    endpoints: endpoints === null ? null : [...endpoints],
    allowIps: allowIps === null ? null : [...allowIps],
    retries,
    expiresAt: key.expiresAt?.toISOString() ?? null,
    createdAt: key.createdAt.toISOString(),
    rotatedAt: key.rotatedAt?.toISOString() ?? null,
    previousExpiresAt: live(key.previousExpiresAt, now)?.toISOString() ?? null,
    revokedAt: key.revokedAt?.toISOString() ?? null,
    lastUsedAt: key.lastUsedAt?.toISOString() ?? null,
    revision: key.revision,
  }
}

function statusOf(key: ProxyKey, now: number): ProxyKeyStatus {
  if (key.status === 'revoked' || key.expiresAt === null || key.expiresAt.getTime() > now) return key.status
  return 'expired'
}

function live(end: Date | null, now: number): Date | null {
  return end !== null && end.getTime() > now ? end : null
}
