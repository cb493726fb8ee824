import {
  type Database,
  LatchkeyError,
  type ProxyKeyStatus,
  type ProxyKeyWire,
  type ScopeBudgetWire,
} from '@latchkey/shared'
import type { ProxyKey } from '@latchkey/vault'
import type { Kysely } from 'kysely'
import { readScopeBudgets } from '../scope-budgets.ts'

/** Keys as the API shows them at `now` (milliseconds since the epoch), with what is left of their budgets. */
export async function toWires(
  database: Kysely<Database>,
  keys: readonly ProxyKey[],
  now: number,
): Promise<ProxyKeyWire[]> {
  const budgets = await readScopeBudgets(
    database,
    'key',
    keys.map((key) => key.id),
  )
  return keys.map((key) => wireOf(key, budgets.get(key.id) ?? [], now))
}

/** The same for one key. */
export async function toWire(database: Kysely<Database>, key: ProxyKey, now: number): Promise<ProxyKeyWire> {
  const [wire] = await toWires(database, [key], now)
  if (wire === undefined) throw new LatchkeyError('internal_error')
  return wire
}

function wireOf(key: ProxyKey, budgets: readonly ScopeBudgetWire[], now: number): ProxyKeyWire {
  const { models, endpoints, allowIps, retries, limits, fit, capture } = key.policy
  return {
    id: key.id,
    name: key.name,
    description: key.description,
    tags: [...key.tags],
    email: key.email,
    status: statusOf(key, now),
    group: key.group,
    providerKeys: [...key.providerKeys],
    models: models === null ? null : [...models],
    endpoints: endpoints === null ? null : [...endpoints],
    allowIps: allowIps === null ? null : [...allowIps],
    retries,
    limits: [...limits],
    fit,
    capture,
    budgets: [...budgets],
    expiresAt: key.expiresAt?.toISOString() ?? null,
    createdAt: key.createdAt.toISOString(),
    rotatedAt: key.rotatedAt?.toISOString() ?? null,
    previousExpiresAt: live(key.previousExpiresAt, now)?.toISOString() ?? null,
    revokedAt: key.revokedAt?.toISOString() ?? null,
    compromisedAt: key.compromisedAt?.toISOString() ?? null,
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
