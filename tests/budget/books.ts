import { randomUUID } from 'node:crypto'
import {
  type BudgetId,
  type BudgetPeriod,
  type EpochId,
  type LeaseId,
  type NanoUsd,
  nanoUsd,
  type OrganizationId,
  type RequestId,
  type ScopeKind,
} from '@latchkey/shared'
import type pg from 'pg'
import { changeLeases, type LeaseChange } from '../../gateway/src/budget/change-leases.ts'
import { createBudget } from '../../gateway/src/budget/create-budget.ts'
import { makeWindows } from '../../gateway/src/budget/make-windows.ts'
import { type Settlement, settleInserted, storedSettlements } from '../../gateway/src/budget/settle.ts'
import { type Queryable, runStatement } from '../../gateway/src/budget/statement.ts'

const someTime = new Date('2026-03-01T12:00:00Z')

export const newBudgetId = () => randomUUID() as BudgetId
export const newLeaseId = () => randomUUID() as LeaseId
export const newEpochId = () => randomUUID() as EpochId
export const newRequestId = () => randomUUID() as RequestId

/** An organization, to which a test's budgets belong. */
export async function addOrganization(pool: pg.Pool): Promise<OrganizationId> {
  const id = randomUUID() as OrganizationId
  await pool.query('INSERT INTO organization (id, name, created_at) VALUES ($1, $2, $3)', [
    id,
    `org ${id}`,
    someTime,
  ])
  return id
}

/** The row of a proxy key, which no vault would take for authentic: for what the books say of it. */
export async function addProxyKeyRow(
  pool: pg.Pool,
  organizationId: OrganizationId,
  id: string,
): Promise<void> {
  await pool.query(
    `INSERT INTO proxy_key (id, organization_id, name, description, tags, policy, status, fingerprint, verifier,
       verifier_salt, pepper_version, row_mac, row_mac_pepper_version, revision, created_at)
     VALUES ($1, $2, $1, '', '{}', '{}', 'active', $3, $3, $3, 1, $3, 1, 1, $4)`,
    [id, organizationId, Buffer.from(id), someTime],
  )
}

export interface BudgetOptions {
  readonly scopeKind?: ScopeKind
  readonly period?: BudgetPeriod
  readonly thresholds?: readonly number[]
}

/** A budget over a scope of its own. */
export async function addBudget(
  pool: pg.Pool,
  organizationId: OrganizationId,
  limit: bigint,
  { scopeKind = 'key', period = 'total', thresholds = [] }: BudgetOptions = {},
): Promise<BudgetId> {
  const id = newBudgetId()
  await createBudget(pool, {
    id,
    organizationId,
    scopeKind,
    scopeId: id,
    period,
    limit: nanoUsd(limit),
    thresholds,
    createdAt: someTime,
  })
  return id
}

/** Changes leases, and makes the windows that are missing first. */
export async function changeLeasesWithWindows(pool: Queryable, change: LeaseChange) {
  const result = await changeLeases(pool, change)
  if (result.kind !== 'windowless') return result
  await makeWindows(
    pool,
    change.asks.map((ask) => ask.budget),
  )
  return changeLeases(pool, change)
}

/** The row of `budget_window`, as the engine never reads it: for tests alone. */
export interface WindowRow {
  readonly id: bigint
  readonly budget_id: BudgetId
  readonly starts_at: Date
  readonly ends_at: Date | null
  readonly limit_nano: NanoUsd
  readonly ceiling_nano: NanoUsd
  readonly paused: boolean
  readonly settled_nano: NanoUsd
  readonly leased_nano: NanoUsd
  readonly unsettled_nano: NanoUsd
  readonly overage_nano: NanoUsd
  readonly revision: bigint
}

export async function windowsOf(pool: pg.Pool, budget: BudgetId): Promise<readonly WindowRow[]> {
  const result = await pool.query<WindowRow>('SELECT * FROM budget_window WHERE budget_id = $1 ORDER BY id', [
    budget,
  ])
  return result.rows
}

/** The one window of a budget. */
export async function windowOf(pool: pg.Pool, budget: BudgetId): Promise<WindowRow> {
  const [window, ...others] = await windowsOf(pool, budget)
  if (window === undefined || others.length > 0) throw new Error('the budget has not exactly one window')
  return window
}

export interface RecordedRequest {
  readonly id: RequestId
  readonly cost: NanoUsd
  readonly settlements: readonly Settlement[]
}

// As the batch writer does it, but for the columns that no test of money looks at.
const record = {
  name: 'test-record',
  text: `
WITH batch AS (SELECT * FROM jsonb_to_recordset($1::jsonb) AS r(id uuid, cost bigint, settlements jsonb)),
inserted AS (
  INSERT INTO request (id, organization_id, proxy_key_id, proxy_key_name, method, endpoint, status, attempts, usage_missing,
    streamed, disconnected, truncated, request_bytes, response_bytes, duration_ms, client_ip, properties, started_at, cost_nano, settlements)
  SELECT id, id, 'key', 'key', 'POST', '/v1/chat/completions', 200, 1, false,
    false, false, false, 0, 0, 0, '127.0.0.1', '{}', now(), cost, settlements
  FROM batch ORDER BY id
  ON CONFLICT (id) DO NOTHING RETURNING id, settlements
),
${settleInserted}
SELECT * FROM settled_window`,
}

/** Records requests and settles them. Returns the windows that this has changed, as they are after it. */
export function recordRequests(
  pool: Queryable,
  requests: readonly RecordedRequest[],
): Promise<readonly WindowRow[]> {
  const rows = requests.map(({ id, cost, settlements }) => ({
    id,
    cost: cost.toString(),
    settlements: storedSettlements(settlements),
  }))
  return runStatement<WindowRow>(pool, record, [JSON.stringify(rows)])
}

/** The sums that must be equal after every history, for each window: what its row says and what the other tables say. */
export async function auditWindows(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<Record<string, bigint>>(`
    WITH spent AS (
      SELECT (s ->> 'window')::bigint AS window_id, sum((s ->> 'within')::bigint + (s ->> 'beyond')::bigint)::bigint AS recorded
      FROM request, jsonb_array_elements(request.settlements) AS s GROUP BY 1
    ),
    leases AS (
      SELECT window_id, (sum(outstanding_nano) FILTER (WHERE state = 'open'))::bigint AS open,
        (sum(outstanding_nano) FILTER (WHERE state = 'swept'))::bigint AS swept
      FROM lease GROUP BY 1
    )
    SELECT w.id, w.settled_nano + w.overage_nano AS spent, w.leased_nano, w.unsettled_nano,
      coalesce(recorded, 0) AS recorded, coalesce(open, 0) AS open, coalesce(swept, 0) AS swept
    FROM budget_window AS w LEFT JOIN spent ON spent.window_id = w.id LEFT JOIN leases ON leases.window_id = w.id`)
  for (const row of rows) {
    const problem =
      row.spent !== row.recorded
        ? 'what has settled is not what was recorded'
        : row.leased_nano !== row.open
          ? 'what is leased is not what open leases have outstanding'
          : row.unsettled_nano !== row.swept
            ? 'what is unsettled is not what swept leases have outstanding'
            : null
    if (problem !== null)
      throw new Error(
        `${problem}: ${JSON.stringify(row, (_key, value) => (typeof value === 'bigint' ? `${value}` : value))}`,
      )
  }
}
