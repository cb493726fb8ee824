import { type ProxyKeyWire, statusWire } from '@latchkey/shared'
import type { AdminClient } from './admin-client.ts'
import { describeBudgets } from './budget-option.ts'
import { describeLimits } from './limit-options.ts'
import { fields, table } from './table.ts'
import { exactTime, relativeTime } from './times.ts'

/** Keys in a table, a line each. `now` is milliseconds since the epoch. */
export function keyTable(keys: readonly ProxyKeyWire[], now: number): string {
  return table(
    ['id', 'name', 'status', 'group', 'provider keys', 'models', 'budget', 'expires', 'created', 'last used'],
    keys.map((key) => [
      key.id,
      key.name,
      key.status,
      key.group?.name ?? null,
      key.providerKeys.join(', '),
      key.models === null ? 'all' : key.models.join(', '),
      describeBudgets(key.budgets),
      key.expiresAt === null ? 'never' : relativeTime(key.expiresAt, now),
      relativeTime(key.createdAt, now),
      relativeTime(key.lastUsedAt, now),
    ]),
  )
}

/** One key, a field a line. */
export function keyFields(key: ProxyKeyWire, now: number): string {
  return fields([
    ['id', key.id],
    ['name', key.name],
    ['email', key.email],
    ['description', key.description],
    ['tags', key.tags.join(', ')],
    ['status', key.status],
    [
      'group',
      key.group === null ? null : `${key.group.name}${key.group.status === 'paused' ? ' (paused)' : ''}`,
    ],
    ['provider keys', key.providerKeys.join(', ')],
    ['models', key.models?.join(', ') ?? 'all'],
    ['endpoints', key.endpoints?.join(', ') ?? 'by the models'],
    ['addresses', key.allowIps?.join(', ') ?? 'any'],
    ['retries', String(key.retries)],
    ['budgets', describeBudgets(key.budgets) ?? 'none of its own'],
    ['limits', describeLimits(key.limits) ?? 'none of its own'],
    ['fit', key.fit],
    ['bodies', key.capture ? 'kept, sealed' : 'as its group says'],
    ['expires', key.expiresAt === null ? 'never' : exactTime(key.expiresAt, now)],
    ['created', exactTime(key.createdAt, now)],
    ['rotated', exactTime(key.rotatedAt, now)],
    ['old secret until', exactTime(key.previousExpiresAt, now)],
    ['revoked', exactTime(key.revokedAt, now)],
    ...(key.compromisedAt === null ? [] : [['compromised', exactTime(key.compromisedAt, now)] as const]),
    ['last used', exactTime(key.lastUsedAt, now)],
  ])
}

/** The three lines that point an SDK at the gateway, whatever its language. */
export async function howToUse(client: AdminClient, token: string): Promise<string> {
  const { dataUrl } = await client.call({ method: 'GET', path: '/api/status', answer: statusWire })
  return [
    `  export OPENAI_BASE_URL=${dataUrl}/v1`,
    `  export OPENAI_API_KEY=${token}`,
    '  curl "$OPENAI_BASE_URL/models" -H "Authorization: Bearer $OPENAI_API_KEY"',
  ].join('\n')
}
