import { type Database, LatchkeyError, type OrganizationId, type ProxyKeyId } from '@latchkey/shared'
import type { Kysely } from 'kysely'
import { type ProxyKey, selectViews } from './proxy-key-view.ts'

export interface ListProxyKeys {
  readonly organizationId: OrganizationId
  /** At most so many, from 1. */
  readonly limit: number
  /** From the page before; null for the first. */
  readonly cursor: string | null
  /** Only keys of exactly this name. */
  readonly name?: string | undefined
}

export interface ProxyKeyPage {
  readonly keys: readonly ProxyKey[]
  /** For the next page; null when this was the last. */
  readonly nextCursor: string | null
}

/** Where a page ended. Keys are ordered by both, so that those of one millisecond are not skipped. */
interface Position {
  readonly createdAt: Date
  readonly id: ProxyKeyId
}

/** Proxy keys, newest first. Throws `invalid_request` for a cursor that no page gave. */
export async function listProxyKeys(db: Kysely<Database>, ask: ListProxyKeys): Promise<ProxyKeyPage> {
  let query = selectViews(db).where('organization_id', '=', ask.organizationId)
  if (ask.name !== undefined) query = query.where('name', '=', ask.name)
  if (ask.cursor !== null) {
    const { createdAt, id } = parseCursor(ask.cursor)
    query = query.where((each) => each(each.refTuple('created_at', 'id'), '<', each.tuple(createdAt, id)))
  }
  const rows = await query
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(ask.limit + 1)
    .execute()
  const keys = rows.slice(0, ask.limit)
  const last = keys.at(-1)
  return { keys, nextCursor: rows.length > ask.limit && last !== undefined ? formatCursor(last) : null }
}

function formatCursor({ createdAt, id }: Position): string {
  return Buffer.from(`${createdAt.getTime()}.${id}`).toString('base64url')
}

function parseCursor(cursor: string): Position {
  const [, time, id] =
    /^(\d{1,15})\.([0-9A-Za-z]{12})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (time === undefined || id === undefined)
    throw new LatchkeyError('invalid_request', { message: 'The cursor is not valid.', param: 'cursor' })
  return { createdAt: new Date(Number(time)), id: id as ProxyKeyId }
}
