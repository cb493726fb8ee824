import {
  type Clock,
  type Database,
  type DeploymentId,
  LatchkeyError,
  type Log,
  type OrganizationId,
  type RandomBytes,
  ringPurposes,
  uuidv7,
} from '@latchkey/shared'
import { type Kysely, sql, type Transaction } from 'kysely'
import { readDeploymentState } from './deployment-state.ts'
import type { RingKey } from './keyring.ts'
import { insertRingKey, lockKeyring, newRingKey, openKeyring } from './keyring-store.ts'
import {
  newRootKey,
  parseRootKey,
  type RootKey,
  type RootKeySource,
  rootKeyFromPassphrase,
  wipeRootKey,
} from './root-key.ts'
import { RootKeyFile } from './root-key-file.ts'

const mostReads = 2

/** What opening the keyring found, or made at the first start. */
export interface OpenedKeyring {
  readonly deploymentId: DeploymentId
  /** The organization of a fresh deployment. */
  readonly defaultOrganizationId: OrganizationId
  readonly keys: readonly RingKey[]
  readonly rootKeyId: string
  readonly keyringRevision: bigint
  /** Whether the deployment is sealed: then the keys must not be used. */
  readonly sealed: boolean
  /** Whether it was made just now. */
  readonly created: boolean
}

export interface KeyringSurroundings {
  readonly db: Kysely<Database>
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
}

/**
 * Opens the keyring with the root key of `source`, and finishes a root key rotation that was interrupted.
 * On an empty database it makes deployment, organization and keyring in one transaction. It never makes
 * a keyring anew: throws `root_key_missing`, `root_key_wrong`, `root_key_invalid` or `keyring_damaged`.
 */
export async function loadKeyring(
  surroundings: KeyringSurroundings,
  source: RootKeySource,
): Promise<OpenedKeyring> {
  if (source.kind === 'value') surroundings.log.warn('root_key.in_environment')
  return surroundings.db.transaction().execute(async (trx) => {
    await lockKeyring(trx)
    if (source.kind === 'file') await new RootKeyFile(source.path).tidy()
    const deployment = await trx.selectFrom('deployment').select('id').executeTakeFirst()
    const ringKey = await trx.selectFrom('ring_key').select('version').limit(1).executeTakeFirst()
    if (deployment === undefined && ringKey === undefined) return create(trx, surroundings, source)
    if (deployment === undefined || ringKey === undefined) throw new LatchkeyError('keyring_damaged')
    const organization = await trx
      .selectFrom('organization')
      .select('id')
      .where('name', '=', 'default')
      .executeTakeFirst()
    if (organization === undefined) throw new LatchkeyError('keyring_damaged')
    const opened = await openWith(trx, deployment.id, source, surroundings.log)
    const { keyringRevision, sealed } = await readDeploymentState(trx)
    return {
      deploymentId: deployment.id,
      defaultOrganizationId: organization.id,
      ...opened,
      ...{ keyringRevision, sealed },
      created: false,
    }
  })
}

/** The keyring as it is now, opened by a process that had it open before. */
export interface ReopenedKeyring {
  readonly keys: readonly RingKey[]
  readonly rootKeyId: string
  readonly keyringRevision: bigint
  /** Whether the deployment is sealed: then the keys must not be used. */
  readonly sealed: boolean
}

/**
 * Opens the keyring again without making anything, and waits for no other process that does. Throws
 * `root_key_missing`, `root_key_wrong`, `root_key_invalid` or `keyring_damaged`.
 */
export async function reopenKeyring(
  { db, deploymentId }: { readonly db: Kysely<Database>; readonly deploymentId: DeploymentId },
  source: RootKeySource,
): Promise<ReopenedKeyring> {
  for (let reads = 1; ; reads++) {
    const root = await rootKeyOf(source, deploymentId)
    if (root === undefined) throw missing(source)
    try {
      const opened = await db
        .transaction()
        .setIsolationLevel('repeatable read')
        .execute(async (trx) => {
          const { keyringRevision, sealed } = await readDeploymentState(trx)
          return { keyringRevision, sealed, opening: await openKeyring(trx, deploymentId, root) }
        })
      const { keyringRevision, sealed, opening } = opened
      if (opening.kind === 'opened')
        return { keys: opening.keys, rootKeyId: root.id, keyringRevision, sealed }
    } finally {
      wipeRootKey(root)
    }
    // Between the two reads a process on the same file may have finished its rotation.
    if (reads === mostReads) throw new LatchkeyError('root_key_wrong')
  }
}

/** The root key of `source`, which must open the keyring. The caller wipes it. */
export async function currentRootKey(
  db: Kysely<Database>,
  deploymentId: DeploymentId,
  source: RootKeySource,
): Promise<RootKey> {
  const root = await rootKeyOf(source, deploymentId)
  if (root === undefined) throw missing(source)
  if (!(await opensKeyring(db, deploymentId, root))) {
    wipeRootKey(root)
    throw new LatchkeyError('root_key_wrong')
  }
  return root
}

/** The root key that `source` names, whatever it opens. Undefined if it is a file that is not there. */
export async function rootKeyOf(
  source: RootKeySource,
  deploymentId: DeploymentId,
): Promise<RootKey | undefined> {
  switch (source.kind) {
    case 'file':
      return new RootKeyFile(source.path).read()
    case 'value':
      return parseRootKey(source.value)
    case 'passphrase':
      return rootKeyFromPassphrase(source.passphrase, deploymentId)
    default:
      return source satisfies never
  }
}

async function create(
  trx: Transaction<Database>,
  { clock, random, log }: KeyringSurroundings,
  source: RootKeySource,
): Promise<OpenedKeyring> {
  const orphan = await sql<{ found: boolean }>`
    select exists (select from provider_key) or exists (select from proxy_key) as found`.execute(trx)
  if (orphan.rows[0]?.found !== false) throw new LatchkeyError('keyring_damaged')

  const deploymentId = uuidv7<DeploymentId>(clock, random)
  const defaultOrganizationId = uuidv7<OrganizationId>(clock, random)
  const at = new Date(clock.now())
  // On the disk before the keyring is committed: a keyring whose root key was never written is lost.
  const root = await firstRootKey(source, deploymentId, random)
  await trx.insertInto('deployment').values({ id: deploymentId, created_at: at }).execute()
  await trx
    .insertInto('organization')
    .values({ id: defaultOrganizationId, name: 'default', created_at: at })
    .execute()
  const keys = ringPurposes.map((purpose) => newRingKey(purpose, 1, 'active', random))
  for (const key of keys) await insertRingKey(trx, key, { root, deploymentId, random }, at)
  wipeRootKey(root)
  log.info('keyring.created', { count: keys.length })
  const { keyringRevision, sealed } = await readDeploymentState(trx)
  return {
    ...{ deploymentId, defaultOrganizationId, keys, rootKeyId: root.id },
    ...{ keyringRevision, sealed, created: true },
  }
}

async function firstRootKey(
  source: RootKeySource,
  deploymentId: DeploymentId,
  random: RandomBytes,
): Promise<RootKey> {
  // A file can be there already: an operator put it there, or a first start died before its commit.
  const existing = await rootKeyOf(source, deploymentId)
  if (existing !== undefined) return existing
  if (source.kind !== 'file') throw missing(source)
  return new RootKeyFile(source.path).create(newRootKey(random))
}

async function openWith(
  trx: Transaction<Database>,
  deploymentId: DeploymentId,
  source: RootKeySource,
  log: Log,
): Promise<{ readonly keys: readonly RingKey[]; readonly rootKeyId: string }> {
  if (source.kind === 'file') await settleStagedFile(trx, deploymentId, new RootKeyFile(source.path), log)
  const root = await rootKeyOf(source, deploymentId)
  if (root === undefined) throw missing(source)
  try {
    const opening = await openKeyring(trx, deploymentId, root)
    if (opening.kind === 'wrong-key') throw new LatchkeyError('root_key_wrong')
    return { keys: opening.keys, rootKeyId: root.id }
  } finally {
    wipeRootKey(root)
  }
}

/** A rotation that died with its new key staged: finished if the new key opens the keyring, else undone if the old one does. */
async function settleStagedFile(
  trx: Transaction<Database>,
  deploymentId: DeploymentId,
  file: RootKeyFile,
  log: Log,
): Promise<void> {
  const next = await file.readNext()
  if (next === undefined) return
  const current = await file.read()
  try {
    if (await opensKeyring(trx, deploymentId, next)) {
      await file.promote()
      log.info('root_key.rotation_settled', { state: 'finished' })
    } else if (current !== undefined && (await opensKeyring(trx, deploymentId, current))) {
      await file.discardNext()
      log.info('root_key.rotation_settled', { state: 'undone' })
    }
  } finally {
    wipeRootKey(next)
    if (current !== undefined) wipeRootKey(current)
  }
}

async function opensKeyring(
  db: Kysely<Database>,
  deploymentId: DeploymentId,
  root: RootKey,
): Promise<boolean> {
  const opening = await openKeyring(db, deploymentId, root)
  if (opening.kind === 'wrong-key') return false
  for (const key of opening.keys) key.bytes.fill(0)
  return true
}

/** Where it was looked for is what people need to know: on a second machine it is the likeliest mistake. */
function missing(source: RootKeySource): LatchkeyError {
  if (source.kind !== 'file') return new LatchkeyError('root_key_missing')
  return new LatchkeyError('root_key_missing', {
    message: `The vault has a keyring, but the root key that opens it is not there: ${source.path} does not exist. Copy it from where the vault was made, or name it with LATCHKEY_ROOT_KEY_FILE or LATCHKEY_ROOT_KEY.`,
    param: 'LATCHKEY_ROOT_KEY_FILE',
  })
}
