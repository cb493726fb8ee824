import type { Database, DeploymentId, RandomBytes, RingPurpose } from '@latchkey/shared'
import { LatchkeyError } from '@latchkey/shared'
import { type Kysely, sql, type Transaction } from 'kysely'
import { keyLength } from './aead.ts'
import { none, type Place } from './associated-data.ts'
import type { RingKey, RingState } from './keyring.ts'
import type { RootKey } from './root-key.ts'
import { open, seal } from './seal.ts'

/** A ring key as it stands in the database, under one of the root keys that can open it. */
interface StoredWrap {
  readonly purpose: RingPurpose
  readonly version: number
  readonly state: RingState
  readonly envelope: Buffer
}

/** Which root keys can open the keyring, the one with the newest wraps first. */
export interface WrapSet {
  readonly rootKeyId: string
  readonly newest: Date
}

export type KeyringOpening =
  | { readonly kind: 'opened'; readonly keys: readonly RingKey[] }
  /** No wrap is for this root key. */
  | { readonly kind: 'wrong-key' }

// One number for everything that makes or rotates the keyring, so that two processes take turns.
const keyringLock = 0x6c6b_7269

/** Makes whoever else creates or rotates the keyring wait until `trx` ends. */
export async function lockKeyring(trx: Transaction<Database>): Promise<void> {
  await sql`select pg_advisory_xact_lock(${keyringLock}::bigint)`.execute(trx)
}

/** Stores a new ring key, wrapped under `root`, in the caller's transaction. */
export async function insertRingKey(
  trx: Transaction<Database>,
  key: RingKey,
  wrapping: { readonly root: RootKey; readonly deploymentId: DeploymentId; readonly random: RandomBytes },
  at: Date,
): Promise<void> {
  const { purpose, version, state } = key
  await trx.insertInto('ring_key').values({ purpose, version, state, created_at: at }).execute()
  await insertWrap(trx, key, wrapping, at)
}

/** Adds a wrap of `key` under `root`, in the caller's transaction. */
export async function insertWrap(
  trx: Transaction<Database>,
  key: RingKey,
  wrapping: { readonly root: RootKey; readonly deploymentId: DeploymentId; readonly random: RandomBytes },
  at: Date,
): Promise<void> {
  const { root, deploymentId, random } = wrapping
  await trx
    .insertInto('ring_key_wrap')
    .values({
      purpose: key.purpose,
      version: key.version,
      root_key_id: root.id,
      envelope: seal(root, placeOfWrap(deploymentId, key, root), key.bytes, random),
      created_at: at,
    })
    .execute()
}

/** Opens every ring key with `root`. Throws `keyring_damaged` if it opens some but not all. */
export async function openKeyring(
  db: Kysely<Database>,
  deploymentId: DeploymentId,
  root: RootKey,
): Promise<KeyringOpening> {
  const { versions } = await db
    .selectFrom('ring_key')
    .select((each) => each.fn.countAll<number | bigint | string>().as('versions'))
    .executeTakeFirstOrThrow()
  const wraps = await db
    .selectFrom('ring_key_wrap as wrap')
    .innerJoin('ring_key as key', (join) =>
      join.onRef('key.purpose', '=', 'wrap.purpose').onRef('key.version', '=', 'wrap.version'),
    )
    .where('wrap.root_key_id', '=', root.id)
    .orderBy('key.purpose')
    .orderBy('key.version')
    .select(['key.purpose', 'key.version', 'key.state', 'wrap.envelope'])
    .execute()
  if (wraps.length === 0) return { kind: 'wrong-key' }
  if (wraps.length !== Number(versions)) throw new LatchkeyError('keyring_damaged')
  return { kind: 'opened', keys: wraps.map((wrap) => unwrap(wrap, deploymentId, root)) }
}

/** The root keys that have wraps. */
export async function wrapSets(db: Kysely<Database>): Promise<readonly WrapSet[]> {
  const rows = await db
    .selectFrom('ring_key_wrap')
    .groupBy('root_key_id')
    .select((each) => ['root_key_id as rootKeyId', each.fn.max('created_at').as('newest')])
    .execute()
  return rows.sort((left, right) => right.newest.getTime() - left.newest.getTime())
}

/** Forgets what other root keys than that of `rootKeyId` could open. */
export async function deleteOtherWraps(db: Kysely<Database>, rootKeyId: string): Promise<void> {
  await db.deleteFrom('ring_key_wrap').where('root_key_id', '!=', rootKeyId).execute()
}

/** A random ring key. */
export function newRingKey(
  purpose: RingPurpose,
  version: number,
  state: RingState,
  random: RandomBytes,
): RingKey {
  return { purpose, version, state, bytes: Uint8Array.from(random(keyLength)) }
}

function unwrap(wrap: StoredWrap, deploymentId: DeploymentId, root: RootKey): RingKey {
  const place = placeOfWrap(deploymentId, wrap, root)
  const opened = open((version) => (version === root.version ? root : undefined), place, wrap.envelope)
  if (opened.kind === 'damaged' || opened.plaintext.length !== keyLength)
    throw new LatchkeyError('keyring_damaged', {
      cause: new Error(`${wrap.purpose} key ${wrap.version} does not open`),
    })
  return { purpose: wrap.purpose, version: wrap.version, state: wrap.state, bytes: opened.plaintext }
}

function placeOfWrap(
  deploymentId: DeploymentId,
  key: { readonly purpose: RingPurpose; readonly version: number },
  root: RootKey,
): Place {
  return {
    deploymentId,
    table: 'ring_key_wrap',
    column: 'envelope',
    rowId: `${key.purpose}/${key.version}/${root.id}`,
    organizationId: none,
    provider: none,
    origin: none,
    secretVersion: 1,
  }
}
