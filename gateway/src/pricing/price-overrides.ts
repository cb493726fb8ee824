import { type Database, type OrganizationId, type PriceEntry, priceEntryWire } from '@latchkey/shared'
import { type Kysely, sql, type Transaction } from 'kysely'
import type { PriceFile } from './price-file.ts'
import { everyName } from './price-table.ts'

/** Whose price an override is; `*` and `*` is the fallback. */
export interface OverrideName {
  readonly provider: string
  readonly model: string
}

/** A price that an operator set by the API. */
export interface PriceOverride extends OverrideName {
  /** Null: what is stored can't be read, so the model has no price until it is set again or removed. */
  readonly entry: PriceEntry | null
  readonly revision: number
  readonly updatedAt: Date
}

/** All overrides of an organization, by provider and model. */
export async function readOverrides(
  database: Kysely<Database>,
  organizationId: OrganizationId,
): Promise<readonly PriceOverride[]> {
  const rows = await database
    .selectFrom('price_override')
    .select(['provider', 'model', 'entry', 'revision', 'updated_at'])
    .where('organization_id', '=', organizationId)
    .orderBy('provider')
    .orderBy('model')
    .execute()
  return rows.map(({ entry, updated_at, ...row }) => ({
    ...row,
    entry: priceEntryWire.safeParse(entry).data ?? null,
    updatedAt: updated_at,
  }))
}

/** Keeps every other writer out until `trx` ends, so that what it says has changed is what has. */
export async function lockOverrides(trx: Transaction<Database>): Promise<void> {
  await sql`LOCK TABLE price_override IN SHARE ROW EXCLUSIVE MODE`.execute(trx)
}

/** Sets or replaces the price of one name. */
export async function writeOverride(
  trx: Transaction<Database>,
  organizationId: OrganizationId,
  { provider, model }: OverrideName,
  entry: PriceEntry,
  at: Date,
): Promise<void> {
  const text = JSON.stringify(entry)
  await trx
    .insertInto('price_override')
    .values({
      organization_id: organizationId,
      provider,
      model,
      entry: text,
      revision: 1,
      created_at: at,
      updated_at: at,
    })
    .onConflict((conflict) =>
      conflict.columns(['organization_id', 'provider', 'model']).doUpdateSet((each) => ({
        entry: text,
        revision: sql<number>`${each.ref('price_override.revision')} + 1`,
        updated_at: at,
      })),
    )
    .execute()
}

/** Whether there was an override to remove. */
export async function deleteOverride(
  trx: Transaction<Database>,
  organizationId: OrganizationId,
  { provider, model }: OverrideName,
): Promise<boolean> {
  const { numDeletedRows } = await trx
    .deleteFrom('price_override')
    .where('organization_id', '=', organizationId)
    .where('provider', '=', provider)
    .where('model', '=', model)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

/** An override in the form of a file, to be laid over the others. Its version is when it was set. */
export function overrideFile({ provider, model, entry, updatedAt }: PriceOverride): PriceFile {
  // An entry without a period has no price at any moment: nobody guesses at what could not be read.
  const known = entry ?? { source: 'unreadable', prices: [] }
  const file = { version: `api-${updatedAt.toISOString()}`, aliases: {}, tools: {}, inherit: {} }
  return provider === everyName && model === everyName
    ? { ...file, models: {}, fallback: known, origin: 'api' }
    : { ...file, models: { [provider]: { [model]: known } }, origin: 'api' }
}
