import { hash, timingSafeEqual } from 'node:crypto'
import { errorFields, LatchkeyError, type ProxyKeyId, type Secret } from '@latchkey/shared'
import type { Argon2Guard } from './argon2.ts'
import type { Reading } from './batched-reads.ts'
import { type MatchedCredential, matchCredential, matchNothing } from './credential.ts'
import { Principals } from './principal.ts'
import type { TokenFormat } from './proxy-key.ts'
import { type Checked, ProxyKeyReader, type StoredProxyKey, type StoredRow } from './proxy-key-reader.ts'
import type { Snapshot, Snapshots } from './snapshots.ts'
import type { VaultParts } from './vault-parts.ts'
import { refused, type Verification, type Verifier } from './verification.ts'

/** A token whose form and checksum are right. */
interface WellFormed {
  readonly text: string
  readonly id: ProxyKeyId
  readonly secret: Secret
  /** Hash of the whole token under a key of this process: what the caches know it by. */
  readonly name: string
}

type Comparison<Stored> =
  | { readonly kind: 'matched'; readonly stored: Stored; readonly credential: MatchedCredential }
  | { readonly kind: 'refused'; readonly reason: 'unknown' | 'tampered' }

type Judgement =
  | { readonly kind: 'final'; readonly verification: Verification }
  /** Something changed since the row was read: read it again. */
  | { readonly kind: 'overtaken'; readonly verification: Verification }

type Acceptance =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'overloaded' }

// After so many reads that were overtaken by changes, the last one's answer is given and not kept.
const mostReads = 5

/**
 * Verifies tokens, cheapest first, so that nobody outside can make us run argon2: what is known of the token by its
 * hash; its form and checksum; then the row's MAC and the token's fingerprint, in a lane where a flood shares its reads; and
 * argon2 only for a right token.
 */
export class TokenVerifier implements Verifier {
  readonly #parts: VaultParts
  readonly #tokens: TokenFormat
  readonly #argon2: Argon2Guard
  readonly #reader: ProxyKeyReader
  readonly #snapshots: Snapshots
  readonly #principals: Principals
  readonly #nameKey: string
  readonly #flights = new Map<string, Promise<Verification>>()

  constructor(parts: VaultParts, tokens: TokenFormat, argon2: Argon2Guard, snapshots: Snapshots) {
    this.#parts = parts
    this.#tokens = tokens
    this.#argon2 = argon2
    this.#snapshots = snapshots
    this.#reader = new ProxyKeyReader(parts)
    this.#principals = new Principals(parts.deploymentId)
    this.#nameKey = Buffer.from(parts.random(32)).toString('base64')
  }

  lookup(token: string): Verification | undefined {
    // What is known already was well formed when it was verified: to compare its hash is enough.
    const mayBeKnown = this.#tokens.fits(token, 'proxy') && !this.#parts.keyring.sealed
    const name = mayBeKnown ? this.#nameOf(token) : null
    const known = name === null ? undefined : this.#warm(name)
    if (known !== undefined) return known
    const parsed = this.#parse(token, name)
    return 'kind' in parsed ? parsed : undefined
  }

  async verify(token: string): Promise<Verification> {
    const parsed = this.#parse(token, null)
    if ('kind' in parsed) return parsed
    const warm = this.#warm(parsed.name)
    if (warm !== undefined) return warm
    const shared = this.#flights.get(parsed.name)
    if (shared !== undefined) return shared
    const flight = this.#cold(parsed).finally(() => this.#flights.delete(parsed.name))
    this.#flights.set(parsed.name, flight)
    return flight
  }

  /** `name`: the token's, where it has been worked out; else null. */
  #parse(token: string, name: string | null): WellFormed | Verification {
    const parsed = this.#tokens.parse(token, 'proxy')
    if (parsed.kind !== 'ok') return refused(parsed.kind)
    if (this.#parts.keyring.sealed) return { kind: 'sealed' }
    return { text: token, id: parsed.id, secret: parsed.secret, name: name ?? this.#nameOf(token) }
  }

  /**
   * A quarter of an HMAC's cost, and as good here: only well-formed tokens are kept by their names, which have one
   * length, so that no hash can be extended to another's, and nobody outside sees one.
   */
  #nameOf(token: string): string {
    return hash('sha256', this.#nameKey + token, 'base64')
  }

  #warm(name: string): Verification | undefined {
    return this.#snapshots.fresh(name) ?? (this.#parts.changes.away ? this.#snapshots.stale(name) : undefined)
  }

  async #cold(token: WellFormed): Promise<Verification> {
    // Asking a database that does not answer would only make the client wait for the same answer.
    if (this.#parts.changes.away) return { kind: 'unavailable' }
    try {
      // Who was verified before does not wait among those who guess.
      const screened = this.#snapshots.has(token.name) ? undefined : await this.#screen(token)
      if (screened !== undefined) return screened
      for (let reads = 1; ; reads++) {
        const result = await this.#reader.key(token.id)
        if (result.kind === 'overloaded') return result
        const judgement = await this.#judge(token, result.reading)
        if (judgement.kind === 'final' || reads === mostReads) return judgement.verification
      }
    } catch (error) {
      if (error instanceof LatchkeyError && error.code === 'vault_sealed') return { kind: 'sealed' }
      this.#parts.log.warn('proxy_key.read_failed', errorFields(error))
      return this.#snapshots.stale(token.name) ?? { kind: 'unavailable' }
    }
  }

  /** Turns away what is no key of ours, by its fingerprint alone. Undefined: it is one. */
  async #screen(token: WellFormed): Promise<Verification | undefined> {
    const result = await this.#reader.row(token.id)
    if (result.kind === 'overloaded') return result
    const compared = this.#compare(token, result.reading.found)
    return compared.kind === 'refused' ? this.#refuse(token, result.reading, compared.reason) : undefined
  }

  async #judge(token: WellFormed, reading: Reading<Checked<StoredProxyKey>>): Promise<Judgement> {
    const { clock, log } = this.#parts
    const compared = this.#compare(token, reading.found)
    if (compared.kind === 'refused') return final(this.#refuse(token, reading, compared.reason))
    const { stored, credential } = compared
    const { row } = stored
    const principal = this.#principals.of(stored)
    if (principal === undefined) return final(this.#refuse(token, reading, 'tampered'))

    // A key that is paused, revoked or expired is refused whatever argon2 would say: the fingerprint of
    // 256 random bits has matched, and that is enough to tell its holder why.
    const usable =
      row.status === 'active' && (principal.expiresAt === null || principal.expiresAt > clock.now())
    if (usable) {
      const accepted = await this.#accept(token, credential)
      if (accepted.kind === 'overloaded') return final(accepted)
      if (accepted.kind === 'refused') {
        log.error('proxy_key.tampered', { keyId: row.id })
        return final(this.#refuse(token, reading, 'tampered'))
      }
    }
    const { generation, began } = reading
    const verification: Verification = Object.freeze({ kind: 'verified', principal })
    return this.#keep(token, { verification, generation, began, proven: usable, endsAt: credential.endsAt })
  }

  #compare<Stored extends StoredRow>(
    token: WellFormed,
    found: Checked<Stored> | undefined,
  ): Comparison<Stored> {
    const { keyring, clock } = this.#parts
    if (found === undefined) {
      matchNothing(keyring, token.text)
      return { kind: 'refused', reason: 'unknown' }
    }
    if (found.kind === 'tampered') return { kind: 'refused', reason: 'tampered' }
    const { stored } = found
    const credential = matchCredential(keyring, stored.row, token.text, clock.now())
    return credential === undefined
      ? { kind: 'refused', reason: 'unknown' }
      : { kind: 'matched', stored, credential }
  }

  /** Whether argon2 accepts the token for this verifier: remembered, so that a change costs no run per key. */
  async #accept(token: WellFormed, credential: MatchedCredential): Promise<Acceptance> {
    const verifier = `${token.name} ${credential.verifier.toString('base64')}`
    if (this.#snapshots.isAccepted(verifier)) return { kind: 'accepted' }
    const pepper = this.#parts.keyring.pepper(credential.pepperVersion)
    if (pepper === undefined) return { kind: 'refused' }
    const { secret } = token
    const derived = await this.#argon2.derive(verifier, { secret, salt: credential.salt, pepper })
    if (derived.kind === 'overloaded') return derived
    const { tag } = derived
    if (tag.length !== credential.verifier.length || !timingSafeEqual(tag, credential.verifier))
      return { kind: 'refused' }
    this.#snapshots.accept(verifier)
    return { kind: 'accepted' }
  }

  #refuse(token: WellFormed, reading: Reading<unknown>, reason: 'unknown' | 'tampered'): Verification {
    const verification = refused(reason)
    this.#snapshots.refuse(token.name, verification, reading.generation)
    return verification
  }

  #keep(token: WellFormed, snapshot: Snapshot): Judgement {
    // While we waited for argon2 the key may have been revoked: that must not be put back.
    const kept = this.#snapshots.keep(token.name, snapshot)
    return { kind: kept ? 'final' : 'overtaken', verification: snapshot.verification }
  }
}

function final(verification: Verification): Judgement {
  return { kind: 'final', verification }
}
