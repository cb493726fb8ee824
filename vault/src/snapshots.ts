import type { Clock } from '@latchkey/shared'
import { LRUCache } from 'lru-cache'
import type { ChangeFeed, Moment } from './changes.ts'
import type { Verification } from './verification.ts'

/** An answer for a right token, and how long it may be given. */
export interface Snapshot {
  readonly verification: Verification & { readonly kind: 'verified' }
  /** The change feed's generation before the row was read. */
  readonly generation: number
  readonly began: Moment
  /** Whether argon2 has accepted the token, which it isn't asked for a key that is refused anyway. */
  readonly proven: boolean
  /** When this secret of the key ends, in milliseconds since the epoch; null: with the key. */
  readonly endsAt: number | null
}

export interface SnapshotLimits {
  readonly snapshots: number
  readonly accepted: number
  readonly refusals: number
  /** For how long a refusal is believed, in milliseconds. */
  readonly refuseForMs: number
  /** For how long snapshots are served while Postgres can't be reached, in milliseconds; 0: not at all. */
  readonly staleForMs: number
}

export const defaultSnapshotLimits: SnapshotLimits = {
  snapshots: 20_000,
  accepted: 100_000,
  refusals: 20_000,
  refuseForMs: 5000,
  staleForMs: 60_000,
}

interface Refusal {
  readonly verification: Verification
  readonly generation: number
  /** Monotonic milliseconds. */
  readonly until: number
}

/** What is known of tokens without asking anybody. Bounded, and known by keyed hashes of the tokens only. */
export class Snapshots {
  readonly #changes: ChangeFeed
  readonly #clock: Clock
  readonly #limits: SnapshotLimits
  readonly #snapshots: LRUCache<string, Snapshot>
  readonly #refusals: LRUCache<string, Refusal>
  readonly #accepted: LRUCache<string, true>

  constructor(changes: ChangeFeed, clock: Clock, limits: SnapshotLimits) {
    this.#changes = changes
    this.#clock = clock
    this.#limits = limits
    this.#snapshots = new LRUCache({ max: limits.snapshots })
    this.#refusals = new LRUCache({ max: limits.refusals })
    this.#accepted = new LRUCache({ max: limits.accepted })
  }

  /** Whether a token was right when it was last verified, however long ago. */
  has(name: string): boolean {
    return this.#snapshots.has(name)
  }

  /** The answer for a token, if nothing can have changed since it was found. */
  fresh(name: string): Verification | undefined {
    const snapshot = this.#snapshots.get(name)
    if (snapshot !== undefined) {
      const current = snapshot.generation === this.#changes.generation
      return current && this.#changes.trusted && this.#holds(snapshot) ? snapshot.verification : undefined
    }
    const refusal = this.#refusals.get(name)
    if (refusal === undefined || refusal.generation !== this.#changes.generation) return undefined
    return this.#clock.monotonic() < refusal.until ? refusal.verification : undefined
  }

  /**
   * The answer for a token while Postgres is away: the last one, for a while. Not if anything is known to
   * have changed since: it might be the revocation of this very key.
   */
  stale(name: string): Verification | undefined {
    const snapshot = this.#snapshots.get(name)
    if (snapshot === undefined || snapshot.generation !== this.#changes.generation) return undefined
    const { lastSuccess } = this.#changes
    const { staleForMs } = this.#limits
    const recent =
      this.#changes.isWithin(snapshot.began, staleForMs) ||
      (lastSuccess !== undefined && this.#changes.isWithin(lastSuccess, staleForMs))
    return recent && this.#holds(snapshot) ? snapshot.verification : undefined
  }

  /** Keeps an answer, unless something has changed since the row was read: then false. */
  keep(name: string, snapshot: Snapshot): boolean {
    if (snapshot.generation !== this.#changes.generation) {
      this.#snapshots.delete(name)
      return false
    }
    this.#refusals.delete(name)
    this.#snapshots.set(name, snapshot)
    return true
  }

  refuse(name: string, verification: Verification, generation: number): void {
    this.#snapshots.delete(name)
    const until = this.#clock.monotonic() + this.#limits.refuseForMs
    this.#refusals.set(name, { verification, generation, until })
  }

  isAccepted(verifier: string): boolean {
    return this.#accepted.get(verifier) === true
  }

  /** Remembers that argon2 has accepted a token for a verifier. */
  accept(verifier: string): void {
    this.#accepted.set(verifier, true)
  }

  wipe(): void {
    this.#snapshots.clear()
    this.#refusals.clear()
    this.#accepted.clear()
  }

  #holds({ verification, proven, endsAt }: Snapshot): boolean {
    const now = this.#clock.now()
    if (endsAt !== null && endsAt <= now) return false
    if (proven) return true
    // The clock was set back to before the key's end: now argon2 has to be asked.
    const { status, expiresAt } = verification.principal
    return status !== 'active' || (expiresAt !== null && expiresAt <= now)
  }
}
