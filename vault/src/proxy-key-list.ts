import type { Database, GroupId, OrganizationId, ProxyKeyId } from '@latchkey/shared'
import type { Kysely } from 'kysely'
import { type ProxyKey, selectViews, viewOf } from './proxy-key-view.ts'

export interface ListProxyKeys {
  readonly organizationId: OrganizationId
  /** At most so many, from 1. */
  readonly limit: number
  /** Where the page before ended; null for the first. */
  readonly after: ProxyKeyPlace | null
  /** Only keys of exactly this name. */
  readonly name?: string | undefined
  /** Only keys of this group. */
  readonly group?: GroupId | undefined
}

export interface ProxyKeyPage {
  readonly keys: readonly ProxyKey[]
  /** Whether others come after the last of these. */
  readonly more: boolean
}

/** A key's place in the list. Keys are ordered by both, so that those of one millisecond are not skipped. */
export interface ProxyKeyPlace {
  readonly createdAt: Date
  readonly id: ProxyKeyId
}

/** Proxy keys, newest first. */
export async function listProxyKeys(db: Kysely<Database>, ask: ListProxyKeys): Promise<ProxyKeyPage> {
  let query = selectViews(db).where('organization_id', '=', ask.organizationId)
  if (ask.name !== undefined) query = query.where('name', '=', ask.name)
  if (ask.group !== undefined) query = query.where('group_id', '=', ask.group)
  if (ask.after !== null) {
    const { createdAt, id } = ask.after
    query = query.where((each) => each(each.refTuple('created_at', 'id'), '<', each.tuple(createdAt, id)))
  }
  const rows = await query
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(ask.limit + 1)
    .execute()
  return { keys: rows.slice(0, ask.limit).map(viewOf), more: rows.length > ask.limit }
}
