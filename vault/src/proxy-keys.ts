import {
  type GroupId,
  LatchkeyError,
  type OrganizationId,
  type ProxyKeyId,
  type Secret,
  type StoredPolicy,
} from '@latchkey/shared'
import { sql } from 'kysely'
import { type Changed, changeLocked, type LockedChange, type Unchangeable } from './change-proxy-key.ts'
import {
  type AlongsideKeys,
  type CreatedMany,
  createProxyKeys,
  type NewProxyKey,
} from './create-proxy-keys.ts'
import { deriveCredential, type Mint, noPrevious } from './new-credential.ts'
import { holdTies, type MissingTie } from './proxy-key-bindings.ts'
import { parseBindings, parseEmail, parsePolicyInput, parseProxyKeyName } from './proxy-key-input.ts'
import { type ListProxyKeys, listProxyKeys, type ProxyKeyPage } from './proxy-key-list.ts'
import { type ProxyKey, selectViews, viewOf } from './proxy-key-view.ts'
import { revokeAll } from './revoke-all.ts'
import type { VaultParts } from './vault-parts.ts'

export interface CreateProxyKey extends NewProxyKey {
  readonly organizationId: OrganizationId
  /** What is done in the transaction that makes the key, so that it never exists without it. */
  readonly alongside?: NonNullable<LockedChange['alongside']>
}

export type Created =
  /** `token` is shown this once and can't be had again. */
  { readonly kind: 'created'; readonly key: ProxyKey; readonly token: Secret } | MissingTie

export type Shown = { readonly kind: 'found'; readonly key: ProxyKey } | { readonly kind: 'not-found' }

/** What of a key may change; what is left out stays. */
export interface ChangeProxyKey {
  readonly name?: string
  readonly description?: string
  readonly tags?: readonly string[]
  readonly email?: string | null
  readonly group?: GroupId | null
  /** The fields that change. */
  readonly policy?: Partial<StoredPolicy>
  readonly expiresAt?: Date | null
  /** Names of provider keys, in the order in which they are to be tried. */
  readonly providerKeys?: readonly string[]
  /** Change only if the key is still at this revision. */
  readonly revision?: number
  /** What else is changed with it, all or nothing. */
  readonly alongside?: NonNullable<LockedChange['alongside']>
}

export type Rotated =
  | { readonly kind: 'rotated'; readonly key: ProxyKey; readonly token: Secret }
  | Unchangeable

export interface RotateProxyKey {
  /** For how long the old secret goes on working, in milliseconds; 0 ends it at once. Default: 24 hours. */
  readonly graceMs?: number
  /** Rotate only if the key is still at this revision: a repeated request then rotates once. */
  readonly revision?: number
}

/** How long an old secret lives after a rotation, unless told otherwise. */
export const defaultGraceMs = 24 * 60 * 60 * 1000

/** Mints proxy keys and changes them. Every write makes the row's MAC anew and tells every process. */
export class ProxyKeys {
  readonly #parts: VaultParts
  readonly #mint: Mint

  constructor(mint: Mint) {
    this.#parts = mint.parts
    this.#mint = mint
  }

  /** Mints a key. Throws `invalid_request` (naming the field), `overloaded` and `vault_sealed`. */
  async create({ organizationId, alongside, ...input }: CreateProxyKey): Promise<Created> {
    const created = await this.createMany(organizationId, [input], async (trx, ids) => {
      for (const id of ids) await alongside?.(trx, id)
    })
    if (created.kind !== 'created') return created
    const [minted] = created.keys
    if (minted === undefined) throw new LatchkeyError('internal_error')
    return { kind: 'created', ...minted }
  }

  /**
   * Mints all of `keys` in one transaction, or none: some 20 ms each on one core, two at a time. Throws
   * `invalid_request` (naming the field), `overloaded` and `vault_sealed`.
   */
  createMany(
    organizationId: OrganizationId,
    keys: readonly NewProxyKey[],
    alongside?: AlongsideKeys,
  ): Promise<CreatedMany> {
    return createProxyKeys(this.#mint, organizationId, keys, alongside)
  }

  /** One page of an organization's keys, newest first. */
  list(ask: ListProxyKeys): Promise<ProxyKeyPage> {
    return listProxyKeys(this.#parts.db, ask)
  }

  async show(organizationId: OrganizationId, id: ProxyKeyId): Promise<Shown> {
    const row = await selectViews(this.#parts.db)
      .where('organization_id', '=', organizationId)
      .where('id', '=', id)
      .executeTakeFirst()
    return row === undefined ? { kind: 'not-found' } : { kind: 'found', key: viewOf(row) }
  }

  /** Changes what `input` names. Throws `invalid_request` (naming the field) and `vault_sealed`. */
  async change(
    organizationId: OrganizationId,
    id: ProxyKeyId,
    input: ChangeProxyKey,
  ): Promise<Changed | MissingTie> {
    const { description, tags, group, policy, expiresAt } = input
    const name = input.name === undefined ? undefined : parseProxyKeyName(input.name)
    const email = input.email === undefined ? undefined : parseEmail(input.email)
    const names = input.providerKeys === undefined ? undefined : parseBindings(input.providerKeys)
    return this.#parts.changes.transact<Changed | MissingTie>(async (trx, bump) => {
      const groups = group == null ? [] : [group]
      const ties = await holdTies(trx, organizationId, new Set(names), new Set(groups))
      if (ties.kind !== 'found') return ties
      return changeLocked(this.#parts, trx, bump, {
        organizationId,
        id,
        revision: input.revision,
        alongside: input.alongside,
        decide: (row) => ({
          ...(name === undefined ? {} : { name }),
          ...(description === undefined ? {} : { description }),
          ...(tags === undefined ? {} : { tags: [...tags] }),
          ...(email === undefined ? {} : { email }),
          ...(group === undefined ? {} : { group_id: group }),
          ...(policy === undefined ? {} : { policy: parsePolicyInput({ ...row.policy, ...policy }) }),
          ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
          ...(names === undefined
            ? {}
            : { bindings: names.flatMap((each) => ties.providerKeys.get(each) ?? []) }),
        }),
      })
    })
  }

  /** Refuses the key's requests until it is resumed. Pausing a paused key changes nothing. */
  pause(organizationId: OrganizationId, id: ProxyKeyId): Promise<Changed> {
    return this.#change({
      organizationId,
      id,
      decide: (row) => (row.status === 'paused' ? {} : { status: 'paused' }),
    })
  }

  resume(organizationId: OrganizationId, id: ProxyKeyId): Promise<Changed> {
    return this.#change({
      organizationId,
      id,
      decide: (row) => (row.status === 'active' ? {} : { status: 'active' }),
    })
  }

  /**
   * Ends a key for good, with every secret of it. Revoking twice is no error. `compromised`: every process ends its
   * running requests as well; it may be said of a key that is revoked already.
   */
  async revoke(
    organizationId: OrganizationId,
    id: ProxyKeyId,
    options: { readonly compromised?: boolean } = {},
  ): Promise<Changed> {
    const at = new Date(this.#parts.clock.now())
    const changed = await this.#change({
      organizationId,
      id,
      decide: () => ({
        status: 'revoked',
        revoked_at: at,
        ...(options.compromised === true ? { compromised_at: at } : {}),
      }),
    })
    if (changed.kind !== 'revoked') return changed
    if (options.compromised === true) await this.#markCompromised(id, at)
    const shown = await this.show(organizationId, id)
    return shown.kind === 'found' ? { kind: 'changed', key: shown.key } : shown
  }

  /** Those of `ids` that are revoked as compromised. */
  async compromised(ids: readonly ProxyKeyId[]): Promise<readonly ProxyKeyId[]> {
    const rows = await this.#parts.db
      .selectFrom('proxy_key')
      .select('id')
      .where('id', '=', sql<ProxyKeyId>`any(${ids}::text[])`)
      .where('status', '=', 'revoked')
      .where('compromised_at', 'is not', null)
      .execute()
    return rows.map(({ id }) => id)
  }

  /** The emergency button: ends every key of the organization. How many there were. Throws `vault_sealed`. */
  revokeAll(organizationId: OrganizationId): Promise<number> {
    return revokeAll(this.#parts, { organizationId })
  }

  /**
   * Gives the key a new secret. The one before lives on for the grace, an older one ends now: two at the
   * most. Throws `invalid_request`, `overloaded` and `vault_sealed`.
   */
  async rotate(
    organizationId: OrganizationId,
    id: ProxyKeyId,
    options: RotateProxyKey = {},
  ): Promise<Rotated> {
    const graceMs = options.graceMs ?? defaultGraceMs
    if (!Number.isSafeInteger(graceMs) || graceMs < 0)
      throw new LatchkeyError('invalid_request', { message: 'The grace is not a time.', param: 'grace' })
    if ((await this.show(organizationId, id)).kind === 'not-found') return { kind: 'not-found' }
    const minted = this.#mint.tokens.mint('proxy', this.#parts.random, id)
    // Before the transaction: nothing may hold a row's lock while it waits for argon2.
    const credential = await deriveCredential(this.#mint, minted)
    const changed = await this.#change({
      organizationId,
      id,
      revision: options.revision,
      decide: (row) => {
        const now = this.#parts.clock.now()
        const previous =
          graceMs === 0
            ? noPrevious
            : {
                previous_fingerprint: row.fingerprint,
                previous_verifier: row.verifier,
                previous_verifier_salt: row.verifier_salt,
                previous_pepper_version: row.pepper_version,
                previous_expires_at: new Date(now + graceMs),
              }
        return { ...previous, ...credential, rotated_at: new Date(now) }
      },
    })
    return changed.kind === 'changed' ? { kind: 'rotated', key: changed.key, token: minted.token } : changed
  }

  #markCompromised(id: ProxyKeyId, at: Date): Promise<void> {
    return this.#parts.changes.transact(async (trx, bump) => {
      await trx
        .updateTable('proxy_key')
        .set({ compromised_at: at })
        .where('id', '=', id)
        .where('status', '=', 'revoked')
        .where('compromised_at', 'is', null)
        .execute()
      await bump('proxy-key')
    })
  }

  #change(change: LockedChange): Promise<Changed> {
    return this.#parts.changes.transact((trx, bump) => changeLocked(this.#parts, trx, bump, change))
  }
}
