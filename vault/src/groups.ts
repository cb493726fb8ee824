import {
  type Database,
  type GroupId,
  groupName,
  isUuid,
  LatchkeyError,
  type OrganizationId,
  rateLimitsWire,
  type StoredLimit,
  uuidv7,
} from '@latchkey/shared'
import { type Kysely, sql, type Transaction } from 'kysely'
import type { z } from 'zod'
import { isUniqueViolation } from './database-errors.ts'
import { revokeAll } from './revoke-all.ts'
import type { VaultParts } from './vault-parts.ts'

/** Proxy keys that share budgets and limits: a department, a team, a client, an event. */
export interface Group {
  readonly id: GroupId
  readonly organizationId: OrganizationId
  readonly name: string
  readonly description: string
  /** Paused: every key of the group is refused. */
  readonly status: 'active' | 'paused'
  /** Shared by all of its keys. */
  readonly limits: readonly StoredLimit[]
  /** Whether bodies of its keys' requests are kept, sealed. */
  readonly capture: boolean
  /** How many keys it has that are not revoked. */
  readonly keys: number
  /** Counts every change; give it to `change` to change only what was looked at. */
  readonly revision: number
  readonly createdAt: Date
}

/** What is done in the transaction that makes or changes a group. */
export type AlongsideGroup = (trx: Transaction<Database>, id: GroupId) => Promise<void>

export interface CreateGroup {
  readonly organizationId: OrganizationId
  /** Unique in the organization. */
  readonly name: string
  readonly description: string
  readonly limits: readonly StoredLimit[]
  readonly capture?: boolean
  readonly alongside?: AlongsideGroup
}

/** What of a group may change; what is left out stays. */
export interface ChangeGroup {
  readonly name?: string
  readonly description?: string
  readonly limits?: readonly StoredLimit[]
  readonly capture?: boolean
  /** Change only if the group is still at this revision. */
  readonly revision?: number
  /** What else is changed with it, all or nothing. */
  readonly alongside?: AlongsideGroup
}

export type GroupCreated =
  | { readonly kind: 'created'; readonly group: Group }
  | { readonly kind: 'name-taken' }

export type GroupShown = { readonly kind: 'found'; readonly group: Group } | { readonly kind: 'not-found' }

export type GroupChanged =
  | { readonly kind: 'changed'; readonly group: Group }
  | { readonly kind: 'not-found' }
  | { readonly kind: 'name-taken' }
  /** It is not the revision that was asked for. */
  | { readonly kind: 'conflict' }

export type GroupRevoked =
  /** How many keys were ended. */
  { readonly kind: 'revoked'; readonly keys: number } | { readonly kind: 'not-found' }

export interface ListGroups {
  readonly organizationId: OrganizationId
  /** At most so many, from 1. */
  readonly limit: number
  /** Only those whose names come after this one. */
  readonly after?: string | undefined
}

/** Makes groups and changes them. Every change tells every process, as that of a key does. */
export class Groups {
  readonly #parts: VaultParts

  constructor(parts: VaultParts) {
    this.#parts = parts
  }

  /** Throws `invalid_request`, naming the field. */
  async create(input: CreateGroup): Promise<GroupCreated> {
    const { clock, random, changes } = this.#parts
    const id = uuidv7<GroupId>(clock, random)
    const name = parseField(groupName, input.name, 'name')
    const limits = parseField(rateLimitsWire, input.limits, 'limits')
    try {
      return await changes.transact(async (trx) => {
        await trx
          .insertInto('proxy_group')
          .values({
            id,
            organization_id: input.organizationId,
            name,
            description: input.description,
            status: 'active',
            limits: JSON.stringify(limits),
            capture: input.capture ?? false,
            revision: 1,
            created_at: new Date(clock.now()),
          })
          .execute()
        await input.alongside?.(trx, id)
        return { kind: 'created', group: await readGroup(trx, id) }
      })
    } catch (error) {
      if (isNameTaken(error)) return { kind: 'name-taken' }
      throw error
    }
  }

  /** Groups by name, and whether there are more after them. */
  async list({ organizationId, limit, after }: ListGroups): Promise<{
    readonly groups: readonly Group[]
    readonly more: boolean
  }> {
    let query = selectGroups(this.#parts.db).where('organization_id', '=', organizationId)
    if (after !== undefined) query = query.where('name', '>', after)
    const rows = await query
      .orderBy('name')
      .limit(limit + 1)
      .execute()
    return { groups: rows.slice(0, limit), more: rows.length > limit }
  }

  /** The group of an id or a name. */
  async show(organizationId: OrganizationId, idOrName: string): Promise<GroupShown> {
    const group = await selectGroups(this.#parts.db)
      .where('organization_id', '=', organizationId)
      .where(sql.ref(isUuid(idOrName) ? 'id' : 'name'), '=', idOrName)
      .executeTakeFirst()
    return group === undefined ? { kind: 'not-found' } : { kind: 'found', group }
  }

  /** Changes what `input` names. Throws `invalid_request`, naming the field. */
  async change(organizationId: OrganizationId, id: GroupId, input: ChangeGroup): Promise<GroupChanged> {
    const { description, capture, revision, alongside } = input
    const name = input.name === undefined ? undefined : parseField(groupName, input.name, 'name')
    const limits = input.limits === undefined ? undefined : parseField(rateLimitsWire, input.limits, 'limits')
    return this.#change(organizationId, id, { name, description, limits, capture }, revision, alongside)
  }

  /** Refuses the requests of every key of the group until it is resumed. */
  pause(organizationId: OrganizationId, id: GroupId): Promise<GroupChanged> {
    return this.#change(organizationId, id, { status: 'paused' })
  }

  resume(organizationId: OrganizationId, id: GroupId): Promise<GroupChanged> {
    return this.#change(organizationId, id, { status: 'active' })
  }

  /** Ends every key of the group for good; the group stays. Throws `vault_sealed`. */
  async revokeAll(organizationId: OrganizationId, id: GroupId): Promise<GroupRevoked> {
    const shown = await this.show(organizationId, id)
    if (shown.kind === 'not-found') return shown
    return { kind: 'revoked', keys: await revokeAll(this.#parts, { organizationId, group: id }) }
  }

  async #change(
    organizationId: OrganizationId,
    id: GroupId,
    change: {
      readonly name?: string | undefined
      readonly description?: string | undefined
      readonly limits?: readonly StoredLimit[] | undefined
      readonly capture?: boolean | undefined
      readonly status?: Group['status']
    },
    revision?: number,
    alongside?: AlongsideGroup,
  ): Promise<GroupChanged> {
    const { name, description, limits, capture, status } = change
    try {
      return await this.#parts.changes.transact<GroupChanged>(async (trx, bump) => {
        let query = trx
          .updateTable('proxy_group')
          .set((each) => ({
            ...(name === undefined ? {} : { name }),
            ...(description === undefined ? {} : { description }),
            ...(limits === undefined ? {} : { limits: JSON.stringify(limits) }),
            ...(capture === undefined ? {} : { capture }),
            ...(status === undefined ? {} : { status }),
            revision: each('revision', '+', 1),
          }))
          .where('organization_id', '=', organizationId)
          .where('id', '=', id)
        if (revision !== undefined) query = query.where('revision', '=', revision)
        if ((await query.returning('id').executeTakeFirst()) === undefined)
          return { kind: (await exists(trx, organizationId, id)) ? 'conflict' : 'not-found' }
        await alongside?.(trx, id)
        await bump('group')
        return { kind: 'changed', group: await readGroup(trx, id) }
      })
    } catch (error) {
      if (isNameTaken(error)) return { kind: 'name-taken' }
      throw error
    }
  }
}

/** What else is done in the transaction may meet unique values of its own. */
function isNameTaken(error: unknown): boolean {
  return (
    isUniqueViolation(error) &&
    error instanceof Error &&
    'constraint' in error &&
    error.constraint === 'proxy_group_organization_id_name_key'
  )
}

function parseField<Value>(schema: z.ZodType<Value>, value: unknown, field: string): Value {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new LatchkeyError('invalid_request', {
    message: `The ${field} ${issue?.message ?? 'is not valid'}.`,
    param: [field, ...(issue?.path ?? [])].join('.'),
  })
}

function selectGroups(db: Kysely<Database>) {
  return db
    .selectFrom('proxy_group')
    .select([
      'id',
      'organization_id as organizationId',
      'name',
      'description',
      'status',
      'limits',
      'capture',
      'revision',
      'created_at as createdAt',
    ])
    .select(
      sql<number>`(
        select count(*)::integer from proxy_key
        where proxy_key.group_id = proxy_group.id and proxy_key.status <> 'revoked')`.as('keys'),
    )
}

function readGroup(trx: Transaction<Database>, id: GroupId): Promise<Group> {
  return selectGroups(trx).where('id', '=', id).executeTakeFirstOrThrow()
}

async function exists(
  trx: Transaction<Database>,
  organizationId: OrganizationId,
  id: GroupId,
): Promise<boolean> {
  const row = await trx
    .selectFrom('proxy_group')
    .select('id')
    .where('organization_id', '=', organizationId)
    .where('id', '=', id)
    .executeTakeFirst()
  return row !== undefined
}
