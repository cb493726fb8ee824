import {
  type Database,
  formatUsd,
  LatchkeyError,
  type OrganizationId,
  type ProxyKeyId,
  parseProxyKeyId,
  type UsageQuery,
  type UsageSumsWire,
  type UsageWire,
} from '@latchkey/shared'
import type { Vault } from '@latchkey/vault'
import type { Kysely } from 'kysely'
import { resolveGroup } from '../groups/groups.ts'
import { sumUsage, type UsageRow } from './queries.ts'

/** What sums of usage are made of. */
export interface UsageSurroundings {
  readonly vault: Vault
  readonly database: Kysely<Database>
  readonly organizationId: OrganizationId
  /** Milliseconds since the epoch. */
  readonly now: number
}

const defaultSpanMs = 30 * 86_400_000

/** What was used in a stretch of time, by key, group, model or day. Throws `invalid_request`. */
export async function readUsage(
  { vault, database, organizationId, now }: UsageSurroundings,
  query: UsageQuery,
): Promise<UsageWire> {
  const to = query.to === undefined ? now : Date.parse(query.to)
  const from = query.from === undefined ? to - defaultSpanMs : Date.parse(query.from)
  if (from >= to)
    throw new LatchkeyError('invalid_request', { message: 'from must be before to.', param: 'from' })
  const rows = await sumUsage(database, {
    organizationId,
    by: query.by,
    from,
    to,
    key: query.key === undefined ? undefined : readKeyId(query.key),
    group: query.group === undefined ? undefined : await resolveGroup(vault, organizationId, query.group),
    limit: query.limit,
  })
  const [total, ...data] = rows
  if (total === undefined) throw new Error('the sum over no rows is a row')
  return {
    by: query.by,
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    data: data.map((row) => ({ id: row.id, name: row.name, ...sumsOf(row) })),
    leftOut: Number(total.rows) - data.length,
    total: sumsOf(total),
  }
}

function readKeyId(text: string): ProxyKeyId {
  const id = parseProxyKeyId(text)
  if (id !== null) return id
  throw new LatchkeyError('invalid_request', { message: 'key must be the id of a proxy key.', param: 'key' })
}

/** Counts are far below 2^53, where numbers stop being exact. */
function sumsOf(row: UsageRow): UsageSumsWire {
  return {
    requests: Number(row.requests),
    refused: Number(row.refused),
    inputTokens: Number(row.input_tokens),
    cachedInputTokens: Number(row.cached_input_tokens),
    outputTokens: Number(row.output_tokens),
    costUsd: formatUsd(row.cost_nano),
    estimatedUsd: formatUsd(row.estimated_nano),
    unpriced: Number(row.unpriced),
  }
}
