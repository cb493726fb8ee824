import { type BodyDirection, LatchkeyError, type OrganizationId, type RequestId } from '@latchkey/shared'
import { LRUCache } from 'lru-cache'
import { keyLength } from './aead.ts'
import { none, type Place } from './associated-data.ts'
import { openBodyKey, sealBodyKey } from './body-key.ts'
import type { SealingKey } from './record-keys.ts'
import { open, seal } from './seal.ts'
import type { VaultParts } from './vault-parts.ts'

/** Whose body it is, and which: where its seal belongs. */
export interface BodyPlace {
  readonly organizationId: OrganizationId
  readonly requestId: RequestId
  readonly direction: BodyDirection
}

export type OpenedBody =
  | { readonly kind: 'opened'; readonly plaintext: Uint8Array }
  /** It was changed or moved, or the key of its day is gone. */
  | { readonly kind: 'damaged' }

const dayMs = 86_400_000
const mostKeys = 64

/**
 * Seals captured bodies, each for its request and direction. Those of one day are sealed by a key of that day, which
 * the keyring seals: so a rotation moves a row a day and no body, and a day that is dropped can't be read even from a
 * copy of its table.
 */
export class Bodies {
  readonly #parts: VaultParts
  readonly #keys = new LRUCache<string, SealingKey>({ max: mostKeys, dispose: (key) => key.bytes.fill(0) })
  readonly #reading = new Map<string, Promise<void>>()

  constructor(parts: VaultParts) {
    this.#parts = parts
  }

  /** The envelope of a body. Throws `vault_sealed`, and what the database throws where the day's key must be read or made. */
  async seal(place: BodyPlace, plaintext: Uint8Array): Promise<Buffer> {
    const day = dayOf(place.requestId)
    const key = await this.#key(place.organizationId, day, 'make')
    if (key === undefined) throw new LatchkeyError('keyring_damaged')
    return seal(key, this.#placeOf(place), plaintext, this.#parts.random)
  }

  /** Opens what `seal` made at `place`. Throws `vault_sealed`, and what the database throws. */
  async open(place: BodyPlace, envelope: Uint8Array): Promise<OpenedBody> {
    const day = dayOf(place.requestId)
    const key = await this.#key(place.organizationId, day, 'read')
    return open((version) => (version === day ? key : undefined), this.#placeOf(place), envelope)
  }

  /** Overwrites every key with zeros and forgets it. */
  wipe(): void {
    this.#keys.clear()
  }

  async #key(
    organizationId: OrganizationId,
    day: number,
    missing: 'make' | 'read',
  ): Promise<SealingKey | undefined> {
    const name = `${organizationId}:${day}`
    if (!this.#keys.has(name)) {
      let reading = this.#reading.get(name)
      if (reading === undefined) {
        reading = this.#read(organizationId, day, name, missing).finally(() => this.#reading.delete(name))
        this.#reading.set(name, reading)
      }
      await reading
    }
    if (this.#parts.keyring.sealed) throw new LatchkeyError('vault_sealed')
    return this.#keys.get(name)
  }

  async #read(
    organizationId: OrganizationId,
    day: number,
    name: string,
    missing: 'make' | 'read',
  ): Promise<void> {
    const { keyring, deploymentId, learnKeys, log } = this.#parts
    if (keyring.sealed) throw new LatchkeyError('vault_sealed')
    const columns = { organization_id: organizationId, day }
    if (missing === 'make') await this.#make(organizationId, day)
    const row = await this.#parts.db
      .selectFrom('body_key')
      .select('envelope')
      .where('organization_id', '=', organizationId)
      .where('day', '=', day)
      .executeTakeFirst()
    if (row === undefined) return
    let key = openBodyKey(keyring, deploymentId, columns, row.envelope)
    if (key === undefined) {
      // Another process may have sealed it under a ring key that is not known here yet.
      await learnKeys()
      key = openBodyKey(keyring, deploymentId, columns, row.envelope)
    }
    if (key === undefined) log.error('body_key.damaged', { name: dateOf(day) })
    // Sealed meanwhile: then it must not stay.
    else if (keyring.sealed) key.bytes.fill(0)
    else this.#keys.set(name, key)
  }

  /** Where another process has made it meanwhile, that one holds. */
  async #make(organizationId: OrganizationId, day: number): Promise<void> {
    const { db, keyring, deploymentId, random, clock } = this.#parts
    const bytes = random(keyLength)
    const columns = { organization_id: organizationId, day }
    const envelope = sealBodyKey(keyring, deploymentId, columns, bytes, random)
    bytes.fill(0)
    await db
      .insertInto('body_key')
      .values({ ...columns, envelope, created_at: new Date(clock.now()) })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }

  #placeOf({ organizationId, requestId, direction }: BodyPlace): Place {
    return {
      deploymentId: this.#parts.deploymentId,
      table: 'request_body',
      column: 'envelope',
      rowId: `${requestId}/${direction}`,
      organizationId,
      provider: none,
      origin: none,
      secretVersion: 1,
    }
  }
}

/** A day as people write it. */
export function dateOf(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10)
}

/** The day of the moment in an id of version 7: that of its partition, too. */
function dayOf(id: RequestId): number {
  return Math.floor(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) / dayMs)
}
