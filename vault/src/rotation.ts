import { type Database, LatchkeyError, type RingPurpose } from '@latchkey/shared'
import { sql, type Transaction } from 'kysely'
import { beginRotation, endRotation, raiseKeyringRevision, readDeploymentState } from './deployment-state.ts'
import type { RingState } from './keyring.ts'
import type { KeyringFollower } from './keyring-follower.ts'
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
import { rewrapBodyKeys } from './rewrap-body-keys.ts'
import { newRootKey, type RootKey, type RootKeySource, wipeRootKey } from './root-key.ts'
import { RootKeyFile } from './root-key-file.ts'
import type { VaultParts } from './vault-parts.ts'
import type { VaultProcesses } from './vault-processes.ts'

/** What a rotation needs beside the vault's parts: the other processes, and how this one follows what it did. */
export interface RotationParts extends VaultParts {
  readonly processes: VaultProcesses
  readonly follower: KeyringFollower
  /** For how long a process that says nothing is waited for, in milliseconds. */
  readonly peerPatienceMs: number
  /** Aborted: rows are left for later. */
  readonly stopped: AbortSignal
}

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
export async function rotateRootFile(parts: RotationParts, path: string): Promise<RootRotation> {
  const { db, deploymentId, random, follower } = parts
  const file = new RootKeyFile(path)
  const current = await currentRootKey(db, deploymentId, { kind: 'file', path })
  const next = newRootKey(random)
  try {
    await clearStaged(parts, file)
    await file.stage(next)
    await wrapUnder(parts, current, next)
    await file.promote()
    await follower.follow()
    await dropOlderWraps(parts, next.id)
    return { rootKeyId: next.id }
  } finally {
    wipeRootKey(current)
    wipeRootKey(next)
  }
}

/**
 * Lets a second root key open the keyring: the one that the operator moves the settings to. The wraps of the one
 * before are deleted by a start with the new one, when no live process needs them any more, so that no moment is
 * without a key.
 */
export async function rotateRootTo(
  parts: RotationParts,
  source: RootKeySource,
  target: RootKeySource,
): Promise<RootRotation> {
  const { db, deploymentId, follower } = parts
  const current = await currentRootKey(db, deploymentId, source)
  const next = await rootKeyOf(target, deploymentId)
  if (next === undefined) throw new LatchkeyError('root_key_missing')
  try {
    if (next.id === current.id)
      throw new LatchkeyError('root_key_invalid', { message: 'This is the root key that is in use already.' })
    await wrapUnder(parts, current, next)
    await follower.use(target)
    return { rootKeyId: next.id }
  } finally {
    wipeRootKey(current)
    wipeRootKey(next)
  }
}

/**
 * What a root key rotation leaves: wraps under older root keys than that of this process are deleted where no live
 * process opens the keyring by one of them. Wraps under newer ones mean that the settings have yet to move.
 */
export async function settleRootKeys(parts: RotationParts): Promise<void> {
  const [newest, ...others] = await wrapSets(parts.db)
  if (others.length === 0) return
  if (newest?.rootKeyId === parts.follower.rootKeyId) await dropOlderWraps(parts, newest.rootKeyId)
  else parts.log.warn('root_key.newer_exists')
}

/**
 * Replaces ring keys: every process is given the new ones, then they become active, and when every process knows
 * that, the stored rows are moved to them. Older versions stay, for what was made under them. A process that says
 * nothing is not waited for long: it reads the keyring before it uses a row of a version that it does not know.
 * Stops early, with nothing lost, when `stopped` is aborted or the vault is sealed. Throws `conflict` where a live
 * process can't open the keyring.
 */
export async function rotateRingKeys(
  parts: RotationParts,
  purposes: readonly RingPurpose[],
): Promise<readonly KeyringRotation[]> {
  await parts.follower.follow()
  await addPending(parts, purposes)
  await activatePending(parts)
  return moveRows(parts, purposes)
}

/** What a kill left half-done: activates pending keys and moves rows that are still under older ones. Their number. */
export async function resumeRotation(parts: RotationParts): Promise<number> {
  await beginRotation(parts.db, parts.processes.id)
  const { keyringRevision } = await readDeploymentState(parts.db)
  await untilFollowed(parts, keyringRevision)
  await activatePending(parts)
  const moved = await moveRows(parts, ['secret', 'pepper'])
  return moved.reduce((sum, { rows }) => sum + rows, 0)
}

async function moveRows(
  parts: RotationParts,
  purposes: readonly RingPurpose[],
): Promise<readonly KeyringRotation[]> {
  const rotations: KeyringRotation[] = []
  for (const purpose of purposes) {
    const { version } = parts.keyring.active(purpose)
    rotations.push({ purpose, version, rows: await migrateRows(parts, purpose) })
  }
  if (!parts.stopped.aborted) await endRotation(parts.db, parts.processes.id)
  return rotations
}

function migrateRows(parts: RotationParts, purpose: RingPurpose): Promise<number> {
  switch (purpose) {
    case 'secret':
      return reencrypt(parts)
    case 'pepper':
      return remacProxyKeys(parts, parts.stopped)
    case 'audit':
    case 'webhook':
    case 'session':
      return Promise.resolve(0)
    default:
      return purpose satisfies never
  }
}

async function reencrypt(parts: RotationParts): Promise<number> {
  const providerKeys = await reencryptProviderKeys(parts, parts.stopped)
  return providerKeys + (await rewrapBodyKeys(parts, parts.stopped))
}

async function clearStaged(parts: RotationParts, file: RootKeyFile): Promise<void> {
  const leftover = await file.readNext()
  if (leftover === undefined) return
  const opening = await openKeyring(parts.db, parts.deploymentId, leftover)
  wipeRootKey(leftover)
  // It may be the only one that opens what another process wrapped: the next start settles that.
  if (opening.kind === 'opened') throw new LatchkeyError('conflict')
  await file.discardNext()
}

/** Adds wraps under `next`, newer than all that are there, and removes none. */
async function wrapUnder(parts: RotationParts, current: RootKey, next: RootKey): Promise<void> {
  const { changes, clock, deploymentId, random } = parts
  await changes.transact(async (trx, bump) => {
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
    await raiseKeyringRevision(trx)
    await bump('keyring')
  })
}

/** Deletes the wraps of other root keys than `rootKeyId`, unless a live process says that it still needs one. */
async function dropOlderWraps(parts: RotationParts, rootKeyId: string): Promise<void> {
  const { db, log, processes, peerPatienceMs } = parts
  // By the one before, they may have read the file when it was not promoted yet.
  const revision = await announceKeyring(parts)
  await processes.untilKnown(revision, peerPatienceMs)
  if (await processes.anotherNeeds(rootKeyId, revision)) log.warn('root_key.older_needed')
  else await deleteOtherWraps(db, rootKeyId)
}

/** Makes every process read the keyring again; the revision as of which it then knows it. */
async function announceKeyring({ changes, follower }: RotationParts): Promise<bigint> {
  const revision = await changes.transact(async (trx, bump) => {
    const raised = await raiseKeyringRevision(trx)
    await bump('keyring')
    return raised
  })
  await follower.follow()
  return revision
}

async function addPending(parts: RotationParts, purposes: readonly RingPurpose[]): Promise<void> {
  const { db, changes, clock, deploymentId, random, follower, processes } = parts
  const root = await currentRootKey(db, deploymentId, follower.source)
  try {
    const revision = await changes.transact(async (trx, bump) => {
      await lockKeyring(trx)
      // We hold one root key and can wrap under no other: who holds the other could not start any more.
      if ((await wrapSets(trx)).length !== 1)
        throw new LatchkeyError('conflict', {
          message: 'A root key rotation is unfinished: move the setting to the new root key and restart.',
        })
      const at = new Date(clock.now())
      for (const purpose of purposes) {
        const key = newRingKey(purpose, (await newestVersion(trx, purpose)) + 1, 'pending', random)
        await insertRingKey(trx, key, { root, deploymentId, random }, at)
        key.bytes.fill(0)
      }
      await trx.updateTable('deployment').set({ rotating_process_id: processes.id }).execute()
      const raised = await raiseKeyringRevision(trx)
      await bump('keyring')
      return raised
    })
    await untilFollowed(parts, revision)
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

/** Makes pending versions active, once every process has them: the newest of each purpose stays so. */
async function activatePending(parts: RotationParts): Promise<void> {
  const pending = parts.keyring.describe().filter((key) => key.state === 'pending')
  if (pending.length === 0) return
  const revision = await parts.changes.transact(async (trx, bump) => {
    await lockKeyring(trx)
    for (const { purpose, version } of pending) {
      const ofPurpose = trx.updateTable('ring_key').where('purpose', '=', purpose)
      // Retired first: the index allows one active version at every moment.
      await ofPurpose
        .set({ state: 'retired' })
        .where('state', '=', 'active')
        .where('version', '<', version)
        .execute()
      // Where another process has meanwhile made a newer one active, this one is retired from the first.
      const state = sql<RingState>`
        case when exists (select from ring_key as newer where newer.purpose = ${purpose} and newer.state = 'active')
        then 'retired' else 'active' end`
      await ofPurpose.set({ state }).where('version', '=', version).where('state', '=', 'pending').execute()
    }
    const raised = await raiseKeyringRevision(trx)
    await bump('keyring')
    return raised
  })
  await untilFollowed(parts, revision)
}

/** Waits for the other processes. Throws `conflict` where one can't follow. */
async function untilFollowed(parts: RotationParts, revision: bigint): Promise<void> {
  const { processes, follower, log, peerPatienceMs } = parts
  await follower.follow()
  const awaited = await processes.untilKnown(revision, peerPatienceMs)
  switch (awaited.kind) {
    case 'known':
      return
    case 'silent':
      log.warn('keyring.processes_silent', { count: awaited.count })
      return
    case 'locked-out':
      throw new LatchkeyError('conflict', {
        message: `${awaited.count} live process(es) can’t open the keyring: give them the root key that is in use.`,
      })
    default:
      awaited satisfies never
  }
}
