import {
  type Database,
  LatchkeyError,
  type OrganizationId,
  type ProviderKeyId,
  type ProxyKeyId,
  proxyKeyName,
  type Secret,
  type StoredPolicy,
} from '@latchkey/shared'
import type { Transaction } from 'kysely'
import { type Argon2Guard, verifierSaltLength } from './argon2.ts'
import { isForeignKeyViolation } from './database-errors.ts'
import { parsePolicy } from './policy.ts'
import type { MintedToken, TokenFormat } from './proxy-key.ts'
import { type ListProxyKeys, listProxyKeys, type ProxyKeyPage } from './proxy-key-list.ts'
import { lockProxyKeys, type ProxyKeyRow } from './proxy-key-row.ts'
import { type ProxyKey, selectViews } from './proxy-key-view.ts'
import { type DecidingColumns, isAuthentic, macRow } from './row-mac.ts'
import type { VaultParts } from './vault-parts.ts'

export interface CreateProxyKey {
  readonly organizationId: OrganizationId
  readonly name: string
  readonly description: string
  readonly tags: readonly string[]
  readonly policy: StoredPolicy
  readonly expiresAt: Date | null
  /** Names of provider keys, in the order in which they are to be tried. */
  readonly providerKeys: readonly string[]
}

export type Created =
  /** `token` is shown this once and can't be had again. */
  | { readonly kind: 'created'; readonly key: ProxyKey; readonly token: Secret }
  | { readonly kind: 'provider-key-not-found'; readonly name: string }

export type Shown = { readonly kind: 'found'; readonly key: ProxyKey } | { readonly kind: 'not-found' }

/** Why a change of a stored key was not made. */
export type Unchangeable =
  | { readonly kind: 'not-found' }
  /** Revoked is final. */
  | { readonly kind: 'revoked' }
  /** Somebody edited the row without the vault; it is refused at the door too. */
  | { readonly kind: 'tampered' }
  /** It is not the revision that was asked for. */
  | { readonly kind: 'conflict' }

export type Changed = { readonly kind: 'changed'; readonly key: ProxyKey } | Unchangeable

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

type Change = Partial<Omit<ProxyKeyRow, 'id' | 'bindings' | 'revision' | 'row_mac' | 'tags' | 'policy'>>

/** What a row holds of a secret. */
interface Credential {
  readonly fingerprint: Buffer
  readonly verifier: Buffer
  readonly verifier_salt: Buffer
  readonly pepper_version: number
}

/** Mints proxy keys and changes them. Every write makes the row's MAC anew and tells every process. */
export class ProxyKeys {
  readonly #parts: VaultParts
  readonly #tokens: TokenFormat
  readonly #argon2: Argon2Guard

  constructor(parts: VaultParts, tokens: TokenFormat, argon2: Argon2Guard) {
    this.#parts = parts
    this.#tokens = tokens
    this.#argon2 = argon2
  }

  /** Mints a key. Throws `invalid_request` (naming the field), `overloaded` and `vault_sealed`. */
  async create(input: CreateProxyKey): Promise<Created> {
    const { keyring, deploymentId, clock, random, changes } = this.#parts
    const name = parseName(input.name)
    const policy = parsePolicyInput(input.policy)
    const names = parseBindings(input.providerKeys)
    const minted = this.#tokens.mint('proxy', random)
    const credential = await this.#credential(minted)
    try {
      return await changes.transact<Created>(async (trx) => {
        const bindings: ProviderKeyId[] = []
        for (const providerKey of names) {
          const id = await findProviderKey(trx, input.organizationId, providerKey)
          if (id === undefined) return { kind: 'provider-key-not-found', name: providerKey }
          bindings.push(id)
        }
        const deciding: DecidingColumns = {
          id: minted.id,
          organization_id: input.organizationId,
          name,
          policy,
          status: 'active',
          expires_at: input.expiresAt,
          ...credential,
          ...noPrevious,
          revision: 1,
          bindings,
        }
        const { bindings: _bindings, ...columns } = deciding
        await trx
          .insertInto('proxy_key')
          .values({
            ...columns,
            ...macRow(keyring, deploymentId, deciding),
            policy: JSON.stringify(policy),
            description: input.description,
            tags: [...input.tags],
            created_at: new Date(clock.now()),
          })
          .execute()
        await trx
          .insertInto('proxy_key_binding')
          .values(
            bindings.map((provider_key_id, position) => ({
              proxy_key_id: minted.id,
              position,
              provider_key_id,
            })),
          )
          .execute()
        return { kind: 'created', key: await readView(trx, minted.id), token: minted.token }
      })
    } catch (error) {
      // A provider key was removed between our look and our insert.
      if (isForeignKeyViolation(error)) throw new LatchkeyError('conflict', { cause: error })
      throw error
    }
  }

  /** One page of an organization's keys, newest first. Throws `invalid_request` for a foreign cursor. */
  list(ask: ListProxyKeys): Promise<ProxyKeyPage> {
    return listProxyKeys(this.#parts.db, ask)
  }

  async show(organizationId: OrganizationId, id: ProxyKeyId): Promise<Shown> {
    const key = await selectViews(this.#parts.db)
      .where('organization_id', '=', organizationId)
      .where('id', '=', id)
      .executeTakeFirst()
    return key === undefined ? { kind: 'not-found' } : { kind: 'found', key }
  }

  /** Refuses the key's requests until it is resumed. Pausing a paused key changes nothing. */
  pause(organizationId: OrganizationId, id: ProxyKeyId): Promise<Changed> {
    return this.#change(organizationId, id, (row) => (row.status === 'paused' ? {} : { status: 'paused' }))
  }

  resume(organizationId: OrganizationId, id: ProxyKeyId): Promise<Changed> {
    return this.#change(organizationId, id, (row) => (row.status === 'active' ? {} : { status: 'active' }))
  }

  /** Ends a key for good, with every secret of it. Revoking twice is no error. */
  async revoke(organizationId: OrganizationId, id: ProxyKeyId): Promise<Changed> {
    const changed = await this.#change(organizationId, id, () => ({
      status: 'revoked',
      revoked_at: new Date(this.#parts.clock.now()),
    }))
    if (changed.kind !== 'revoked') return changed
    const shown = await this.show(organizationId, id)
    return shown.kind === 'found' ? { kind: 'changed', key: shown.key } : shown
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
    const minted = this.#tokens.mint('proxy', this.#parts.random, id)
    // Before the transaction: nothing may hold a row's lock while it waits for argon2.
    const credential = await this.#credential(minted)
    const changed = await this.#change(
      organizationId,
      id,
      (row) => {
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
      options.revision,
    )
    return changed.kind === 'changed' ? { kind: 'rotated', key: changed.key, token: minted.token } : changed
  }

  async #change(
    organizationId: OrganizationId,
    id: ProxyKeyId,
    decide: (row: ProxyKeyRow) => Change,
    revision?: number,
  ): Promise<Changed> {
    const { keyring, deploymentId, changes, log } = this.#parts
    return changes.transact<Changed>(async (trx, bump) => {
      const [row] = await lockProxyKeys(trx, [id])
      if (row === undefined || row.organization_id !== organizationId) return { kind: 'not-found' }
      if (!isAuthentic(keyring, deploymentId, row)) {
        log.error('proxy_key.tampered', { keyId: id })
        return { kind: 'tampered' }
      }
      if (row.status === 'revoked') return { kind: 'revoked' }
      if (revision !== undefined && row.revision !== revision) return { kind: 'conflict' }
      const change = decide(row)
      if (Object.keys(change).length > 0) {
        const next: ProxyKeyRow = { ...row, ...change, revision: row.revision + 1 }
        await trx
          .updateTable('proxy_key')
          .set({ ...change, revision: next.revision, ...macRow(keyring, deploymentId, next) })
          .where('id', '=', id)
          .execute()
        await bump('proxy-key')
      }
      return { kind: 'changed', key: await readView(trx, id) }
    })
  }

  async #credential({ id, token }: MintedToken): Promise<Credential> {
    const { keyring, random } = this.#parts
    const parsed = this.#tokens.parse(token.reveal(), 'proxy')
    if (parsed.kind !== 'ok') throw new LatchkeyError('internal_error')
    const pepper = keyring.activePepper()
    const salt = Buffer.from(random(verifierSaltLength))
    const derived = await this.#argon2.derive(`mint ${id} ${salt.toString('hex')}`, {
      secret: parsed.secret,
      salt,
      pepper,
    })
    if (derived.kind === 'overloaded') throw new LatchkeyError('overloaded')
    return {
      fingerprint: pepper.fingerprint(token.reveal()),
      verifier: derived.tag,
      verifier_salt: salt,
      pepper_version: pepper.version,
    }
  }
}

const noPrevious = {
  previous_fingerprint: null,
  previous_verifier: null,
  previous_verifier_salt: null,
  previous_pepper_version: null,
  previous_expires_at: null,
}

function parseName(text: string): string {
  const parsed = proxyKeyName.safeParse(text)
  if (!parsed.success)
    throw new LatchkeyError('invalid_request', {
      message: `The name ${parsed.error.issues[0]?.message ?? 'is not valid'}.`,
      param: 'name',
    })
  return parsed.data
}

function parsePolicyInput(policy: StoredPolicy): StoredPolicy {
  const parsed = parsePolicy(policy)
  if (parsed.kind === 'invalid')
    throw new LatchkeyError('invalid_request', {
      message: `The policy is not valid: ${parsed.message}.`,
      param: parsed.path,
    })
  return parsed.policy
}

function parseBindings(names: readonly string[]): readonly string[] {
  if (names.length === 0 || names.length > 16 || new Set(names).size !== names.length)
    throw new LatchkeyError('invalid_request', {
      message: 'Name 1 to 16 provider keys, each once.',
      param: 'providerKeys',
    })
  return names
}

async function findProviderKey(
  trx: Transaction<Database>,
  organizationId: OrganizationId,
  name: string,
): Promise<ProviderKeyId | undefined> {
  const row = await trx
    .selectFrom('provider_key')
    .select('id')
    .where('organization_id', '=', organizationId)
    .where('name', '=', name)
    .executeTakeFirst()
  return row?.id
}

function readView(trx: Transaction<Database>, id: ProxyKeyId): Promise<ProxyKey> {
  return selectViews(trx).where('id', '=', id).executeTakeFirstOrThrow()
}
