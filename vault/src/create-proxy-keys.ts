import type {
  Database,
  GroupId,
  OrganizationId,
  ProviderKeyId,
  ProxyKeyId,
  Secret,
  StoredPolicy,
} from '@latchkey/shared'
import type { Transaction } from 'kysely'
import { type Credential, deriveCredential, type Mint, noPrevious } from './new-credential.ts'
import type { Policy } from './policy.ts'
import type { MintedToken } from './proxy-key.ts'
import { holdTies, insertBindings, type MissingTie } from './proxy-key-bindings.ts'
import { parseBindings, parseEmail, parsePolicyInput, parseProxyKeyName } from './proxy-key-input.ts'
import { type ProxyKey, selectViews, viewOf } from './proxy-key-view.ts'
import { type DecidingColumns, macRow } from './row-mac.ts'
import type { VaultParts } from './vault-parts.ts'

/** A key that is to be made. */
export interface NewProxyKey {
  readonly name: string
  readonly description: string
  readonly tags: readonly string[]
  /** Whom it is for; none by default. */
  readonly email?: string | null
  /** None by default. */
  readonly group?: GroupId | null
  readonly policy: StoredPolicy
  readonly expiresAt: Date | null
  /** Names of provider keys, in the order in which they are to be tried. */
  readonly providerKeys: readonly string[]
}

/** What is done in the transaction that makes the keys, so that they never exist without it. */
export type AlongsideKeys = (trx: Transaction<Database>, ids: readonly ProxyKeyId[]) => Promise<void>

/** A key that was made. Its token can't be had again. */
export interface MintedProxyKey {
  readonly key: ProxyKey
  readonly token: Secret
}

export type CreatedMany =
  /** In the order in which they were asked for. */
  { readonly kind: 'created'; readonly keys: readonly MintedProxyKey[] } | MissingTie

interface Prepared {
  readonly input: NewProxyKey
  readonly policy: Policy
  readonly minted: MintedToken
  readonly credential: Credential
}

/** argon2 runs that one call has under way, so that whoever verifies a token meanwhile is soon served. */
const lanes = 2
/** Rows of one statement: Postgres takes 65,535 values in one, and a row has two dozen. */
const rowsAtOnce = 100

/** Makes all of `inputs`, or none. Throws `invalid_request` (naming the field), `overloaded` and `vault_sealed`. */
export async function createProxyKeys(
  mint: Mint,
  organizationId: OrganizationId,
  inputs: readonly NewProxyKey[],
  alongside?: AlongsideKeys,
): Promise<CreatedMany> {
  const { parts } = mint
  const checked = inputs.map((input, index) => check(input, inputs.length === 1 ? '' : `keys[${index}].`))
  // Before the transaction: nothing may hold a lock while it waits for argon2.
  const prepared = await inLanes(checked, async ({ input, policy }): Promise<Prepared> => {
    const minted = mint.tokens.mint('proxy', parts.random)
    return { input, policy, minted, credential: await deriveCredential(mint, minted) }
  })
  return parts.changes.transact<CreatedMany>(async (trx) => {
    const ties = await holdTies(
      trx,
      organizationId,
      new Set(inputs.flatMap((input) => input.providerKeys)),
      new Set(inputs.flatMap((input) => input.group ?? [])),
    )
    if (ties.kind !== 'found') return ties
    for (let start = 0; start < prepared.length; start += rowsAtOnce)
      await insert(parts, trx, organizationId, prepared.slice(start, start + rowsAtOnce), ties.providerKeys)
    const ids = prepared.map(({ minted }) => minted.id)
    await alongside?.(trx, ids)
    return { kind: 'created', keys: await readMinted(trx, prepared) }
  })
}

function check(input: NewProxyKey, at: string): { readonly input: NewProxyKey; readonly policy: Policy } {
  const name = parseProxyKeyName(input.name, at)
  const email = parseEmail(input.email ?? null, at)
  const providerKeys = parseBindings(input.providerKeys, at)
  return { input: { ...input, name, email, providerKeys }, policy: parsePolicyInput(input.policy, at) }
}

async function insert(
  { keyring, deploymentId, clock }: VaultParts,
  trx: Transaction<Database>,
  organizationId: OrganizationId,
  prepared: readonly Prepared[],
  providerKeys: ReadonlyMap<string, ProviderKeyId>,
): Promise<void> {
  const created_at = new Date(clock.now())
  const keys = prepared.map(({ input, policy, minted, credential }) => {
    const deciding: DecidingColumns = {
      id: minted.id,
      organization_id: organizationId,
      group_id: input.group ?? null,
      name: input.name,
      policy,
      status: 'active',
      expires_at: input.expiresAt,
      ...credential,
      ...noPrevious,
      revision: 1,
      bindings: input.providerKeys.flatMap((name) => providerKeys.get(name) ?? []),
    }
    return { input, deciding }
  })
  await trx
    .insertInto('proxy_key')
    .values(
      keys.map(({ input, deciding }) => {
        const { bindings: _bindings, ...columns } = deciding
        return {
          ...columns,
          ...macRow(keyring, deploymentId, deciding),
          policy: JSON.stringify(deciding.policy),
          description: input.description,
          tags: [...input.tags],
          email: input.email ?? null,
          created_at,
        }
      }),
    )
    .execute()
  await insertBindings(
    trx,
    keys.map(({ deciding }) => deciding),
  )
}

async function readMinted(
  trx: Transaction<Database>,
  prepared: readonly Prepared[],
): Promise<readonly MintedProxyKey[]> {
  const rows = await selectViews(trx)
    .where(
      'id',
      'in',
      prepared.map(({ minted }) => minted.id),
    )
    .execute()
  const views = new Map(rows.map((row) => [row.id, viewOf(row)]))
  return prepared.flatMap(({ minted }) => {
    const key = views.get(minted.id)
    return key === undefined ? [] : [{ key, token: minted.token }]
  })
}

/** `work` on every item, a few at once; the results in the order of the items. */
async function inLanes<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const results = new Map<number, Result>()
  const queue = items.entries()
  const lane = async () => {
    for (const [index, item] of queue) results.set(index, await work(item))
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return items.flatMap((_item, index) => {
    const result = results.get(index)
    return result === undefined ? [] : [result]
  })
}
