import { setTimeout as sleep } from 'node:timers/promises'
import type { Database, VaultProcessId, VaultProcessState } from '@latchkey/shared'
import { type Kysely, sql } from 'kysely'

/** What a process tells the others of its vault. */
export interface VaultProcessReport {
  /** As of which revision it knows the ring keys. */
  readonly keyringRevision: bigint
  /** Null while it is sealed. */
  readonly rootKeyId: string | null
  readonly state: VaultProcessState
}

/** How many vaults are live, and how they are. */
export interface VaultProcessCounts {
  readonly live: number
  readonly sealed: number
  /** Those whose root key does not open the keyring as it is now. */
  readonly lockedOut: number
}

export type Awaited =
  /** Every other live process knows it. */
  | { readonly kind: 'known' }
  /** So many said nothing in time: they are suspended, or have died. */
  | { readonly kind: 'silent'; readonly count: number }
  /** So many can't know it: their root key does not open the keyring. */
  | { readonly kind: 'locked-out'; readonly count: number }

/** How often a process says that it is there, in milliseconds. */
export const reportEveryMs = 5000
/** Who was not seen for three reports is not waited for. */
const live = sql<boolean>`seen_at > clock_timestamp() - interval '15 seconds'`
const forgetAfter = sql`interval '1 day'`
const lookEveryMs = 50

/** The row of this process among those of all vaults of the deployment. */
export class VaultProcesses {
  readonly #db: Kysely<Database>
  readonly #id: VaultProcessId
  readonly #startedAt: Date

  constructor(db: Kysely<Database>, id: VaultProcessId, startedAt: Date) {
    this.#db = db
    this.#id = id
    this.#startedAt = startedAt
  }

  get id(): VaultProcessId {
    return this.#id
  }

  /** Says how this process is now, and that it is there. */
  async report({ keyringRevision, rootKeyId, state }: VaultProcessReport): Promise<void> {
    await sql`
      insert into vault_process (id, keyring_revision, root_key_id, state, started_at, seen_at)
      values (${this.#id}, ${keyringRevision}, ${rootKeyId}, ${state}, ${this.#startedAt}, clock_timestamp())
      on conflict (id) do update set
        keyring_revision = excluded.keyring_revision, root_key_id = excluded.root_key_id,
        state = excluded.state, seen_at = excluded.seen_at`.execute(this.#db)
  }

  async counts(): Promise<VaultProcessCounts> {
    const row = await this.#db
      .selectFrom('vault_process')
      .where(live)
      .select([
        sql<number>`count(*)::integer`.as('live'),
        sql<number>`(count(*) filter (where state = 'sealed'))::integer`.as('sealed'),
        sql<number>`(count(*) filter (where state = 'locked-out'))::integer`.as('lockedOut'),
      ])
      .executeTakeFirstOrThrow()
    return row
  }

  /** Whether another live process opened the keyring, as of `revision`, by another root key than this. */
  async anotherNeeds(rootKeyId: string, revision: bigint): Promise<boolean> {
    const row = await this.#others()
      .where('keyring_revision', '>=', revision)
      .where('root_key_id', 'is not', null)
      .where('root_key_id', '!=', rootKeyId)
      .select('id')
      .limit(1)
      .executeTakeFirst()
    return row !== undefined
  }

  /** Waits until every other live process knows the keyring as of `revision`, but no longer than `patienceMs`. */
  async untilKnown(revision: bigint, patienceMs: number): Promise<Awaited> {
    const deadline = performance.now() + patienceMs
    for (;;) {
      const waited = await this.#others()
        .select([
          sql<number>`(count(*) filter (where state = 'locked-out'))::integer`.as('lockedOut'),
          sql<number>`(count(*) filter (where state = 'open' and keyring_revision < ${revision}))::integer`.as(
            'behind',
          ),
        ])
        .executeTakeFirstOrThrow()
      if (waited.lockedOut > 0) return { kind: 'locked-out', count: waited.lockedOut }
      if (waited.behind === 0) return { kind: 'known' }
      if (performance.now() >= deadline) return { kind: 'silent', count: waited.behind }
      await sleep(lookEveryMs)
    }
  }

  /** Whether a process of this id is live. */
  async isLive(id: VaultProcessId): Promise<boolean> {
    const row = await this.#db
      .selectFrom('vault_process')
      .where(live)
      .where('id', '=', id)
      .select('id')
      .executeTakeFirst()
    return row !== undefined
  }

  /** Takes this process out, and whoever has died long ago. */
  async leave(): Promise<void> {
    await this.#db
      .deleteFrom('vault_process')
      .where((each) =>
        each.or([each('id', '=', this.#id), sql<boolean>`seen_at < clock_timestamp() - ${forgetAfter}`]),
      )
      .execute()
  }

  #others() {
    return this.#db.selectFrom('vault_process').where('id', '!=', this.#id).where(live)
  }
}
