import type {
  Clock,
  changeOrganizationWire,
  Database,
  OrganizationId,
  OrganizationWire,
  RandomBytes,
} from '@latchkey/shared'
import type { Vault } from '@latchkey/vault'
import type { Kysely } from 'kysely'
import type { z } from 'zod'
import { readScopeBudgets, setScopeBudgets } from '../scope-budgets.ts'

/** What every operation on the organization needs. */
export interface OrganizationSurroundings {
  readonly vault: Vault
  readonly database: Kysely<Database>
  readonly organizationId: OrganizationId
  readonly clock: Clock
  readonly random: RandomBytes
}

/** The organization, with what is left of its budgets. */
export async function showOrganization({
  database,
  organizationId,
}: OrganizationSurroundings): Promise<OrganizationWire> {
  const { name, created_at } = await database
    .selectFrom('organization')
    .select(['name', 'created_at'])
    .where('id', '=', organizationId)
    .executeTakeFirstOrThrow()
  const budgets = await readScopeBudgets(database, 'organization', [organizationId])
  return {
    id: organizationId,
    name,
    budgets: [...(budgets.get(organizationId) ?? [])],
    createdAt: created_at.toISOString(),
  }
}

/** Gives the organization these budgets, or their limits to those that it has. */
export async function changeOrganization(
  surroundings: OrganizationSurroundings,
  { budgets = [] }: z.output<typeof changeOrganizationWire>,
): Promise<OrganizationWire> {
  const { vault, organizationId, clock, random } = surroundings
  const scope = { organizationId, kind: 'organization', id: organizationId } as const
  if (budgets.length > 0)
    await vault.changes.transact(async (trx, bump) => {
      await setScopeBudgets(trx, scope, budgets, clock, random)
      await bump('budget')
    })
  return showOrganization(surroundings)
}
