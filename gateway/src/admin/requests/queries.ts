import type {
  BodyDirection,
  Database,
  OrganizationId,
  ProxyKeyId,
  RequestId,
  RequestTable,
} from '@latchkey/shared'
import { type Kysely, type Selectable, sql } from 'kysely'

export type RequestRow = Selectable<RequestTable>

/** A place in the order in which records were written: a transaction, and a record within it. */
export interface RecordingPlace {
  readonly transaction: string
  readonly id: string
}

/** Whose records. */
export interface RecordFilter {
  readonly organizationId: OrganizationId
  readonly keyId?: ProxyKeyId | undefined
}

/**
 * The transaction below which every other has ended: no record will ever appear before it. A cursor
 * may go up to here and no further, however out of order transactions commit.
 */
export async function settledTransaction(database: Kysely<Database>): Promise<string> {
  const { rows } = await sql<{ settled: string }>`
    select pg_snapshot_xmin(pg_current_snapshot())::text as settled`.execute(database)
  const settled = rows[0]?.settled
  if (settled === undefined) throw new Error('Postgres gave no snapshot')
  return settled
}

/** The latest records by start, newest first. */
export function latestRequests(
  database: Kysely<Database>,
  { organizationId, keyId }: RecordFilter,
  limit: number,
): Promise<RequestRow[]> {
  let query = database.selectFrom('request').selectAll().where('organization_id', '=', organizationId)
  if (keyId !== undefined) query = query.where('proxy_key_id', '=', keyId)
  return query.orderBy('id', 'desc').limit(limit).execute()
}

/** The records written after `place` by transactions before `settled`, in the order of writing. */
export function requestsWrittenAfter(
  database: Kysely<Database>,
  { organizationId, keyId }: RecordFilter,
  place: RecordingPlace,
  settled: string,
  limit: number,
): Promise<RequestRow[]> {
  let query = database
    .selectFrom('request')
    .selectAll()
    .where('organization_id', '=', organizationId)
    .where(sql<boolean>`(recorded_in, id) > (${place.transaction}::xid8, ${place.id}::uuid)`)
    .where(sql<boolean>`recorded_in < ${settled}::xid8`)
  if (keyId !== undefined) query = query.where('proxy_key_id', '=', keyId)
  return query.orderBy('recorded_in').orderBy('id').limit(limit).execute()
}

/** The record of an id. */
export function findRequest(
  database: Kysely<Database>,
  organizationId: OrganizationId,
  id: RequestId,
): Promise<RequestRow | undefined> {
  return database
    .selectFrom('request')
    .selectAll()
    .where('id', '=', id)
    .where('organization_id', '=', organizationId)
    .executeTakeFirst()
}

/** Which bodies of a request were kept. */
export async function keptBodies(
  database: Kysely<Database>,
  organizationId: OrganizationId,
  id: RequestId,
): Promise<BodyDirection[]> {
  const rows = await database
    .selectFrom('request_body')
    .select('direction')
    .where('id', '=', id)
    .where('organization_id', '=', organizationId)
    .orderBy('direction')
    .execute()
  return rows.map(({ direction }) => direction)
}

/** The envelopes of a request's bodies. */
export function sealedBodies(
  database: Kysely<Database>,
  organizationId: OrganizationId,
  id: RequestId,
): Promise<readonly { readonly direction: BodyDirection; readonly envelope: Buffer }[]> {
  return database
    .selectFrom('request_body')
    .select(['direction', 'envelope'])
    .where('id', '=', id)
    .where('organization_id', '=', organizationId)
    .execute()
}
