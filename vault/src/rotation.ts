import { type Database, LatchkeyError, type RingPurpose } from '@latchkey/shared'
import type { Transaction } from 'kysely'
import {
  deleteOtherWraps,
  insertRingKey,
  insertWrap,
  lockKeyring,
  newRingKey,
  openKeyring,
  wrapSets,
} from './keyring-store.ts'
import { currentRootKey, rootKeyOf } from './open-keyring.ts'
import { reencryptProviderKeys } from './reencrypt.ts'
import { remacProxyKeys } from './remac.ts'
import { newRootKey, type RootKey, type RootKeySource, wipeRootKey } from './root-key.ts'
import { RootKeyFile } from './root-key-file.ts'
import type { VaultParts } from './vault-parts.ts'

export interface RootRotation {
  /** The public fingerprint of the root key that opens the keyring now. */
  readonly rootKeyId: string
}

export interface KeyringRotation {
  readonly purpose: RingPurpose
  /** The version that is active now. */
  readonly version: number
  /** Stored rows that were moved to it. */
  readonly rows: number
}

/**
 * Moves a file's keyring to a new random root key. The steps are such that at every moment one of the two
 * files opens the keyring; a start after a kill finishes the rest. Throws `root_key_wrong` and the like.
 */
export async function rotateRootFile(parts: VaultParts, path: string): Promise<RootRotation> {
  const { db, deploymentId, random } = parts
  const file = new RootKeyFile(path)
  const current = await currentRootKey(db, deploymentId, { kind: 'file', path })
  const next = newRootKey(random)
  try {
    await clearStaged(parts, file)
    await file.stage(next)
    await wrapUnder(parts, current, next)
    await file.promote()
    await deleteOtherWraps(db, next)
    return { rootKeyId: next.id }
  } finally {
    wipeRootKey(current)
    wipeRootKey(next)
  }
}

/**
 * Lets a second root key open the keyring: the one that the operator moves the setting to. The wraps of
 * the one before are deleted by the first start with the new one, so that no moment is without a key.
 */
export async function rotateRootTo(
  parts: VaultParts,
  source: RootKeySource,
  target: RootKeySource,
): Promise<RootRotation> {
  const { db, deploymentId } = parts
  const current = await currentRootKey(db, deploymentId, source)
  const next = await rootKeyOf(target, deploymentId)
  if (next === undefined) throw new LatchkeyError('root_key_missing')
  try {
    if (next.id === current.id)
      throw new LatchkeyError('root_key_invalid', { message: 'This is the root key that is in use already.' })
    await wrapUnder(parts, current, next)
    return { rootKeyId: next.id }
  } finally {
    wipeRootKey(current)
    wipeRootKey(next)
  }
}

/**
 * Makes a new version of a ring key and moves the stored rows to it. Older versions stay, for what was
 * made under them. Stops early, with nothing lost, when `stopped` is aborted or the vault is sealed.
 */
export async function rotateRingKey(
  parts: VaultParts,
  source: RootKeySource,
  purpose: RingPurpose,
  stopped: AbortSignal,
): Promise<KeyringRotation> {
  await addPending(parts, source, purpose)
  await activatePending(parts)
  const { version } = parts.keyring.active(purpose)
  return { purpose, version, rows: await migrateRows(parts, purpose, stopped) }
}

/** What a kill left half-done: activates pending keys and moves rows that are still under older ones. */
export async function resumeRotation(parts: VaultParts, stopped: AbortSignal): Promise<number> {
  await activatePending(parts)
  return (await migrateRows(parts, 'secret', stopped)) + (await migrateRows(parts, 'pepper', stopped))
}

function migrateRows(parts: VaultParts, purpose: RingPurpose, stopped: AbortSignal): Promise<number> {
  switch (purpose) {
    case 'secret':
      return reencryptProviderKeys(parts, stopped)
    case 'pepper':
      return remacProxyKeys(parts, stopped)
    case 'audit':
    case 'webhook':
    case 'session':
      return Promise.resolve(0)
    default:
      return purpose satisfies never
  }
}

async function clearStaged(parts: VaultParts, file: RootKeyFile): Promise<void> {
  const leftover = await file.readNext()
  if (leftover === undefined) return
  const opening = await openKeyring(parts.db, parts.deploymentId, leftover)
  wipeRootKey(leftover)
  // It may be the only one that opens what another process wrapped: the next start settles that.
  if (opening.kind === 'opened') throw new LatchkeyError('conflict')
  await file.discardNext()
}

/** Adds wraps under `next`, newer than all that are there, and removes none. */
async function wrapUnder(parts: VaultParts, current: RootKey, next: RootKey): Promise<void> {
  const { db, clock, deploymentId, random } = parts
  await db.transaction().execute(async (trx) => {
    await lockKeyring(trx)
    const opening = await openKeyring(trx, deploymentId, current)
    if (opening.kind === 'wrong-key') throw new LatchkeyError('root_key_wrong')
    const [newest] = await wrapSets(trx)
    const at = new Date(Math.max(clock.now(), (newest?.newest.getTime() ?? 0) + 1))
    await trx.deleteFrom('ring_key_wrap').where('root_key_id', '=', next.id).execute()
    for (const key of opening.keys) {
      await insertWrap(trx, key, { root: next, deploymentId, random }, at)
      key.bytes.fill(0)
    }
  })
}

async function addPending(parts: VaultParts, source: RootKeySource, purpose: RingPurpose): Promise<void> {
  const { db, keyring, clock, deploymentId, random } = parts
  const root = await currentRootKey(db, deploymentId, source)
  try {
    const added = await db.transaction().execute(async (trx) => {
      await lockKeyring(trx)
      // We hold one root key and can wrap under no other: who holds the other could not start any more.
      if ((await wrapSets(trx)).length !== 1)
        throw new LatchkeyError('conflict', {
          message: 'A root key rotation is unfinished: move the setting to the new root key and restart.',
        })
      const key = newRingKey(purpose, (await newestVersion(trx, purpose)) + 1, 'pending', random)
      await insertRingKey(trx, key, { root, deploymentId, random }, new Date(clock.now()))
      return key
    })
    keyring.add(added)
  } finally {
    wipeRootKey(root)
  }
}

async function newestVersion(trx: Transaction<Database>, purpose: RingPurpose): Promise<number> {
  const { version } = await trx
    .selectFrom('ring_key')
    .select((each) => each.fn.max('version').as('version'))
    .where('purpose', '=', purpose)
    .executeTakeFirstOrThrow()
  return version
}

/** Makes pending versions active: the newest of each purpose stays so. */
async function activatePending(parts: VaultParts): Promise<void> {
  const { keyring, db } = parts
  const pending = keyring.describe().filter((key) => key.state === 'pending')
  for (const { purpose, version } of pending) {
    await db.transaction().execute(async (trx) => {
      await lockKeyring(trx)
      const ofPurpose = trx.updateTable('ring_key').where('purpose', '=', purpose)
      // Retired first: the index allows one active version at every moment.
      await ofPurpose.set({ state: 'retired' }).where('state', '=', 'active').execute()
      await ofPurpose.set({ state: 'active' }).where('version', '=', version).execute()
    })
    keyring.activate(purpose, version)
  }
}
