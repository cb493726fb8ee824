import {
  type Clock,
  type changeGroupWire,
  type createGroupWire,
  type Database,
  type GroupId,
  type GroupWire,
  type groupsQuery,
  LatchkeyError,
  type OrganizationId,
  type Page,
  type RandomBytes,
  type RevokedAllWire,
} from '@latchkey/shared'
import type { Group, GroupChanged, Vault } from '@latchkey/vault'
import type { Kysely } from 'kysely'
import type { z } from 'zod'
import { decodeCursor, encodeCursor } from '../cursor.ts'
import { readScopeBudgets, setScopeBudgets } from '../scope-budgets.ts'

/** What every operation on groups needs. */
export interface GroupSurroundings {
  readonly vault: Vault
  readonly database: Kysely<Database>
  readonly organizationId: OrganizationId
  readonly clock: Clock
  readonly random: RandomBytes
}

/** One page of the groups, by name; with `name`, the one that is named exactly so. */
export async function listGroups(
  surroundings: GroupSurroundings,
  { limit, cursor, name }: z.output<typeof groupsQuery>,
): Promise<Page<GroupWire>> {
  const { vault, organizationId } = surroundings
  if (name !== undefined) {
    const shown = await vault.groups.show(organizationId, name)
    const found = shown.kind === 'found' && shown.group.name === name ? [shown.group] : []
    return { data: await toWires(surroundings, found), nextCursor: null }
  }
  const after = cursor === undefined ? undefined : decodeCursor(cursor, 1)[0]
  const { groups, more } = await vault.groups.list({ organizationId, limit, after })
  const last = groups.at(-1)
  return {
    data: await toWires(surroundings, groups),
    nextCursor: more && last !== undefined ? encodeCursor([last.name]) : null,
  }
}

/** Makes a group with its budgets. Throws `name_taken` and `invalid_request`. */
export async function createGroup(
  surroundings: GroupSurroundings,
  { name, description, limits, capture, budgets }: z.output<typeof createGroupWire>,
): Promise<GroupWire> {
  const { vault, organizationId, clock, random } = surroundings
  const created = await vault.groups.create({
    organizationId,
    name,
    description,
    limits,
    capture,
    alongside: (trx, id) =>
      setScopeBudgets(trx, { organizationId, kind: 'group', id }, budgets, clock, random),
  })
  if (created.kind === 'name-taken') throw nameTaken()
  return toWire(surroundings, created.group)
}

/** The group of an id or a name. Throws `not_found`. */
export async function showGroup(surroundings: GroupSurroundings, which: string): Promise<GroupWire> {
  return toWire(surroundings, await findGroup(surroundings, which))
}

/** Throws `not_found`, `name_taken`, `invalid_request`, and `conflict` where it is at another revision. */
export async function changeGroup(
  surroundings: GroupSurroundings,
  which: string,
  { name, description, limits, capture, budgets, revision }: z.output<typeof changeGroupWire>,
): Promise<GroupWire> {
  const { vault, organizationId, clock, random } = surroundings
  const { id } = await findGroup(surroundings, which)
  const changed = await vault.groups.change(organizationId, id, {
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(limits === undefined ? {} : { limits }),
    ...(capture === undefined ? {} : { capture }),
    ...(revision === undefined ? {} : { revision }),
    ...(budgets === undefined
      ? {}
      : {
          alongside: (trx, id) =>
            setScopeBudgets(trx, { organizationId, kind: 'group', id }, budgets, clock, random),
        }),
  })
  return toWire(surroundings, groupOf(changed))
}

/** Refuses, or serves again, every key of the group. Throws `not_found`. */
export async function switchGroup(
  surroundings: GroupSurroundings,
  which: string,
  change: 'pause' | 'resume',
): Promise<GroupWire> {
  const { vault, organizationId } = surroundings
  const { id } = await findGroup(surroundings, which)
  return toWire(surroundings, groupOf(await vault.groups[change](organizationId, id)))
}

/** Ends every key of the group for good. Throws `not_found` and `vault_sealed`. */
export async function revokeGroup(surroundings: GroupSurroundings, which: string): Promise<RevokedAllWire> {
  const { vault, organizationId } = surroundings
  const { id } = await findGroup(surroundings, which)
  const revoked = await vault.groups.revokeAll(organizationId, id)
  if (revoked.kind === 'not-found') throw noSuchGroup()
  return { revoked: revoked.keys }
}

/** The id of the group that a request names in a field of its own. Throws `invalid_request`, naming the field. */
export async function resolveGroup(
  vault: Vault,
  organizationId: OrganizationId,
  which: string,
): Promise<GroupId> {
  const shown = await vault.groups.show(organizationId, which)
  if (shown.kind === 'found') return shown.group.id
  throw new LatchkeyError('invalid_request', {
    message: 'There is no group of this name or id.',
    param: 'group',
  })
}

async function findGroup({ vault, organizationId }: GroupSurroundings, which: string): Promise<Group> {
  const shown = await vault.groups.show(organizationId, which)
  if (shown.kind === 'not-found') throw noSuchGroup()
  return shown.group
}

function groupOf(changed: GroupChanged): Group {
  switch (changed.kind) {
    case 'changed':
      return changed.group
    case 'not-found':
      throw noSuchGroup()
    case 'name-taken':
      throw nameTaken()
    case 'conflict':
      throw new LatchkeyError('conflict', { param: 'revision' })
    default:
      return changed satisfies never
  }
}

function noSuchGroup(): LatchkeyError {
  return new LatchkeyError('not_found', { message: 'There is no group of this name or id.', param: 'id' })
}

function nameTaken(): LatchkeyError {
  return new LatchkeyError('name_taken', { message: 'A group has this name already.', param: 'name' })
}

async function toWire(surroundings: GroupSurroundings, group: Group): Promise<GroupWire> {
  const [wire] = await toWires(surroundings, [group])
  if (wire === undefined) throw new LatchkeyError('internal_error')
  return wire
}

async function toWires({ database }: GroupSurroundings, groups: readonly Group[]): Promise<GroupWire[]> {
  const budgets = await readScopeBudgets(
    database,
    'group',
    groups.map((group) => group.id),
  )
  return groups.map((group) => ({
    id: group.id,
    name: group.name,
    description: group.description,
    status: group.status,
    limits: [...group.limits],
    capture: group.capture,
    budgets: [...(budgets.get(group.id) ?? [])],
    keys: group.keys,
    createdAt: group.createdAt.toISOString(),
    revision: group.revision,
  }))
}
