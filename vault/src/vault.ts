import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Clock,
  type Database,
  type DeploymentId,
  errorFields,
  LatchkeyError,
  type Log,
  type OrganizationId,
  type RandomBytes,
  type RingPurpose,
  ringPurposes,
  type Secret,
  uuidv7,
} from '@latchkey/shared'
import type { Kysely } from 'kysely'
import { Argon2Guard, type Argon2Limits } from './argon2.ts'
import { Bodies } from './bodies.ts'
import type { ChangeBell } from './change-bell.ts'
import { ChangeFeed, type ChangeListener, defaultTrustForMs } from './changes.ts'
import { type DamageReport, findDamage } from './damage.ts'
import { type DeploymentState, readDeploymentState } from './deployment-state.ts'
import { Groups } from './groups.ts'
import { Keyring, type RingKeyStatus } from './keyring.ts'
import { KeyringFollower } from './keyring-follower.ts'
import { loadKeyring, type OpenedKeyring, reopenKeyring } from './open-keyring.ts'
import { ProviderKeys } from './provider-keys.ts'
import { TokenFormat } from './proxy-key.ts'
import { ProxyKeys } from './proxy-keys.ts'
import { RecordKeys } from './record-keys.ts'
import type { RootKeySource } from './root-key.ts'
import {
  type KeyringRotation,
  type RootRotation,
  type RotationParts,
  resumeRotation,
  rotateRingKeys,
  rotateRootFile,
  rotateRootTo,
  settleRootKeys,
} from './rotation.ts'
import { type BoundProviderKey, type OpenedProviderKey, openProviderKey } from './sealed-provider-key.ts'
import { defaultSnapshotLimits, Snapshots } from './snapshots.ts'
import { Turn } from './turn.ts'
import type { VaultParts } from './vault-parts.ts'
import { type VaultProcessCounts, VaultProcesses } from './vault-processes.ts'
import type { Verifier } from './verification.ts'
import { TokenVerifier } from './verify.ts'

export interface VaultOptions {
  readonly db: Kysely<Database>
  readonly rootKey: RootKeySource
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
  /** Hears of other processes' changes at once. Without it, the poll tells of them within 2 s. */
  readonly listener?: ChangeListener
  /** A second way to hear of them, for those of this deployment. */
  readonly bell?: (deployment: DeploymentId) => ChangeBell
  /** What tokens begin with; `lk` by default. */
  readonly prefix?: string
  /** For how long keys are served while Postgres can't be reached, in milliseconds; 0: not at all. Default: 60 s. */
  readonly staleForMs?: number
  readonly argon2?: Argon2Limits
  /** For how long a rotation waits for a live process that says nothing, in milliseconds. Default: 5 s. */
  readonly peerPatienceMs?: number
}

export interface VaultStatus {
  readonly sealed: boolean
  readonly deploymentId: DeploymentId
  readonly rootKeySource: RootKeySource['kind']
  /** A public fingerprint of the root key that wraps the keyring; null while sealed. */
  readonly rootKeyId: string | null
  /** Empty while sealed. */
  readonly keyring: readonly RingKeyStatus[]
}

/** The vault of one process: seals provider keys, mints and verifies proxy keys. */
export interface Vault {
  readonly deploymentId: DeploymentId
  /** The organization of a fresh deployment. */
  readonly defaultOrganizationId: OrganizationId
  /** Whether this start made it: nothing has ever been stored in it. */
  readonly created: boolean
  readonly sealed: boolean
  readonly tokens: TokenFormat
  readonly verifier: Verifier
  readonly providerKeys: ProviderKeys
  readonly proxyKeys: ProxyKeys
  readonly groups: Groups
  /** Captured bodies of requests. */
  readonly bodies: Bodies
  readonly changes: ChangeFeed
  /** How often argon2 was started in this process. */
  readonly argon2Runs: number
  /** Opens a provider key's secret: synchronous, microseconds. */
  openProviderKey(key: BoundProviderKey): OpenedProviderKey
  status(): VaultStatus
  /** Opens every provider key and compares every proxy key's MAC. Throws `vault_sealed`. */
  verifyAll(): Promise<DamageReport>
  /**
   * Wraps the keyring under a new root key: a random one where it is a file, else the one of `target`,
   * which is in use from the next unseal or start on. Throws `invalid_request` where `target` is missing.
   */
  rotateRoot(target?: RootKeySource): Promise<RootRotation>
  /** Replaces data keys, all by default, and moves the stored rows to the new ones. Throws `vault_sealed`. */
  rotateKeyring(purposes?: readonly RingPurpose[]): Promise<readonly KeyringRotation[]>
  /** Resolves when no rotation is under way, one that was resumed at the start included. */
  rotationIdle(): Promise<void>
  /** How the vaults of all live processes are, this one's included. Throws what the database throws. */
  processes(): Promise<VaultProcessCounts>
  /**
   * Overwrites the keyring and what was derived from it, here at once and in every process within the bound of a
   * revocation. Everything answers `sealed` until `unseal`, after a restart as well. Throws `database_unavailable` where
   * the others can't be told yet.
   */
  seal(): Promise<void>
  /**
   * Reads the root key from its source again, or takes a passphrase, and lets every other process read its own. Throws
   * what opening throws; then all stay sealed.
   */
  unseal(passphrase?: Secret): Promise<void>
  /** Stops what runs in the background, then wipes the keyring of this process. The database is the caller's. */
  close(): Promise<void>
}

/**
 * Opens the vault; at the first start it makes deployment, keyring and root key. Throws
 * `root_key_missing`, `root_key_wrong`, `root_key_invalid`, `keyring_damaged` or `invalid_config`.
 */
export async function openVault(options: VaultOptions): Promise<Vault> {
  const { db, clock, random, log } = options
  const tokens = new TokenFormat(options.prefix)
  const opened = await loadKeyring({ db, clock, random, log }, options.rootKey)
  const keyring = new Keyring()
  if (opened.sealed) {
    for (const key of opened.keys) key.bytes.fill(0)
    log.warn('vault.started_sealed')
  } else keyring.load(opened.keys)
  const staleForMs = options.staleForMs ?? defaultSnapshotLimits.staleForMs
  // Who allows no stale snapshot wants every key read at every request.
  const trustForMs = Math.min(defaultTrustForMs, staleForMs)
  const { listener } = options
  const bell = options.bell?.(opened.deploymentId)
  const changes = new ChangeFeed({ db, listener, bell, clock, log, trustForMs })
  const vault = new OpenVault(options, { db, keyring, changes, clock, random, log }, tokens, opened)
  try {
    await changes.start()
    await vault.start()
  } catch (error) {
    // A listener that is left alone reconnects for ever, and keeps the process.
    await vault.close().catch(() => undefined)
    throw error
  }
  return vault
}

class OpenVault implements Vault {
  readonly deploymentId: DeploymentId
  readonly defaultOrganizationId: OrganizationId
  readonly created: boolean
  readonly tokens: TokenFormat
  readonly verifier: Verifier
  readonly providerKeys: ProviderKeys
  readonly proxyKeys: ProxyKeys
  readonly groups: Groups
  readonly bodies: Bodies
  readonly changes: ChangeFeed
  readonly #parts: VaultParts
  readonly #argon2: Argon2Guard
  readonly #snapshots: Snapshots
  readonly #recordKeys = new RecordKeys()
  readonly #turn = new Turn()
  readonly #closing = new AbortController()
  readonly #processes: VaultProcesses
  readonly #follower: KeyringFollower
  readonly #rotation: RotationParts
  #resuming = false

  constructor(
    options: VaultOptions,
    shared: Omit<VaultParts, 'deploymentId' | 'learnKeys'>,
    tokens: TokenFormat,
    opened: OpenedKeyring,
  ) {
    const { clock, random, db } = shared
    const parts: VaultParts = {
      ...shared,
      deploymentId: opened.deploymentId,
      learnKeys: () => this.#follower.learn(),
    }
    this.#parts = parts
    this.#argon2 = new Argon2Guard(options.argon2)
    this.#snapshots = new Snapshots(parts.changes, clock, {
      ...defaultSnapshotLimits,
      staleForMs: options.staleForMs ?? defaultSnapshotLimits.staleForMs,
    })
    this.#processes = new VaultProcesses(db, uuidv7(clock, random), new Date(clock.now()))
    this.#follower = new KeyringFollower({
      parts,
      processes: this.#processes,
      source: options.rootKey,
      keyringRevision: opened.keyringRevision,
      rootKeyId: opened.rootKeyId,
      wiped: () => {
        this.#recordKeys.wipe()
        this.#snapshots.wipe()
        this.bodies.wipe()
      },
      rotationFound: (state) => void this.#finishRotation(state),
    })
    this.#rotation = {
      ...parts,
      processes: this.#processes,
      follower: this.#follower,
      peerPatienceMs: options.peerPatienceMs ?? defaultPeerPatienceMs,
      stopped: this.#closing.signal,
    }
    this.deploymentId = parts.deploymentId
    this.defaultOrganizationId = opened.defaultOrganizationId
    this.created = opened.created
    this.tokens = tokens
    this.changes = parts.changes
    this.verifier = new TokenVerifier(parts, tokens, this.#argon2, this.#snapshots)
    this.providerKeys = new ProviderKeys(parts)
    this.proxyKeys = new ProxyKeys({ parts, tokens, argon2: this.#argon2 })
    this.groups = new Groups(parts)
    this.bodies = new Bodies(parts)
  }

  get sealed(): boolean {
    return this.#parts.keyring.sealed
  }

  get argon2Runs(): number {
    return this.#argon2.runs
  }

  openProviderKey(key: BoundProviderKey): OpenedProviderKey {
    const opened = openProviderKey(this.#parts.keyring, this.#recordKeys, key.sealed)
    if (opened.kind === 'damaged') this.#parts.log.error('provider_key.damaged', { providerKeyId: key.id })
    return opened
  }

  status(): VaultStatus {
    return {
      sealed: this.sealed,
      deploymentId: this.deploymentId,
      rootKeySource: this.#follower.source.kind,
      rootKeyId: this.sealed ? null : this.#follower.rootKeyId,
      keyring: this.#parts.keyring.describe(),
    }
  }

  processes(): Promise<VaultProcessCounts> {
    return this.#processes.counts()
  }

  async verifyAll(): Promise<DamageReport> {
    if (this.sealed) throw new LatchkeyError('vault_sealed')
    await this.#follower.follow()
    return findDamage(this.#parts)
  }

  rotateRoot(target?: RootKeySource): Promise<RootRotation> {
    return this.#turn.take(async () => {
      if (this.sealed) throw new LatchkeyError('vault_sealed')
      const { source } = this.#follower
      if (target === undefined && source.kind !== 'file')
        throw new LatchkeyError('invalid_request', {
          message: 'The root key is not in a file: say which one shall replace it.',
        })
      const rotation =
        target === undefined && source.kind === 'file'
          ? await rotateRootFile(this.#rotation, source.path)
          : await rotateRootTo(this.#rotation, source, target ?? source)
      this.#parts.log.info('root_key.rotated')
      return rotation
    })
  }

  rotateKeyring(purposes: readonly RingPurpose[] = ringPurposes): Promise<readonly KeyringRotation[]> {
    return this.#turn.take(async () => {
      if (this.sealed) throw new LatchkeyError('vault_sealed')
      const rotations = await rotateRingKeys(this.#rotation, purposes)
      for (const { purpose, version, rows } of rotations)
        this.#parts.log.info('keyring.rotated', { purpose, ringVersion: version, rows })
      return rotations
    })
  }

  rotationIdle(): Promise<void> {
    return this.#turn.take(() => Promise.resolve())
  }

  seal(): Promise<void> {
    return this.#follower.seal()
  }

  unseal(passphrase?: Secret): Promise<void> {
    return this.#turn.take(async () => {
      if (!this.sealed) return
      const source: RootKeySource =
        passphrase === undefined ? this.#follower.source : { kind: 'passphrase', passphrase }
      // Before anybody is told: where it does not open the keyring, all stay sealed.
      const { keys } = await reopenKeyring(this.#parts, source)
      for (const key of keys) key.bytes.fill(0)
      await this.#follower.use(source)
      await this.#follower.unseal()
      if (this.sealed) throw new LatchkeyError('vault_sealed')
    })
  }

  async close(): Promise<void> {
    this.#closing.abort()
    // It stops at its next batch; with the database away that may be long.
    await Promise.race([this.rotationIdle(), sleep(rotationEndsWithinMs, undefined, { ref: false })])
    await this.#follower.close()
    await this.changes.close()
  }

  /** Follows the other processes, and finishes in the background what one of them left half-done. Not part of `Vault`. */
  async start(): Promise<void> {
    await this.#follower.start()
    void this.#turn.take(async () => {
      if (this.sealed) return
      await this.#attempt(async () => {
        const { rotating } = await readDeploymentState(this.#parts.db)
        const isBusy = rotating !== null && (await this.#processes.isLive(rotating))
        await settleRootKeys(this.#rotation)
        if (!isBusy) await this.#resume()
      })
    })
  }

  /** Takes over a rotation whose process is gone, or one of our own that was sealed in the middle. */
  async #finishRotation({ rotating }: DeploymentState): Promise<void> {
    if (this.#resuming || this.#closing.signal.aborted || rotating === null) return
    this.#resuming = true
    await this.#attempt(async () => {
      const isOwn = rotating === this.#processes.id
      if (!isOwn && (await this.#processes.isLive(rotating))) return
      await this.#turn.take(async () => {
        // While we waited for our turn it may have come to its end.
        const now = await readDeploymentState(this.#parts.db)
        if (now.rotating === rotating && !this.sealed) await this.#resume()
      })
    })
    this.#resuming = false
  }

  async #resume(): Promise<void> {
    const rows = await resumeRotation(this.#rotation)
    if (rows > 0) this.#parts.log.info('keyring.rotation_resumed', { rows })
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#parts.log.error('keyring.resume_failed', errorFields(error))
    }
  }
}

const defaultPeerPatienceMs = 5000
const rotationEndsWithinMs = 5000
