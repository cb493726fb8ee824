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
} from '@latchkey/shared'
import type { Kysely } from 'kysely'
import { Argon2Guard, type Argon2Limits } from './argon2.ts'
import { ChangeFeed, type ChangeListener, defaultTrustForMs } from './changes.ts'
import { type DamageReport, findDamage } from './damage.ts'
import { Groups } from './groups.ts'
import { Keyring, type RingKeyStatus } from './keyring.ts'
import { loadKeyring, type OpenedKeyring } from './open-keyring.ts'
import { ProviderKeys } from './provider-keys.ts'
import { TokenFormat } from './proxy-key.ts'
import { ProxyKeys } from './proxy-keys.ts'
import { RecordKeys } from './record-keys.ts'
import type { RootKeySource } from './root-key.ts'
import {
  type KeyringRotation,
  type RootRotation,
  resumeRotation,
  rotateRingKey,
  rotateRootFile,
  rotateRootTo,
} from './rotation.ts'
import { type BoundProviderKey, type OpenedProviderKey, openProviderKey } from './sealed-provider-key.ts'
import { defaultSnapshotLimits, Snapshots } from './snapshots.ts'
import { Turn } from './turn.ts'
import type { VaultParts } from './vault-parts.ts'
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
  /** What tokens begin with; `lk` by default. */
  readonly prefix?: string
  /** For how long keys are served while Postgres can't be reached, in milliseconds; 0: not at all. Default: 60 s. */
  readonly staleForMs?: number
  readonly argon2?: Argon2Limits
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
  /** Overwrites the keyring and what was derived from it. Everything answers `sealed` until `unseal`. */
  seal(): void
  /** Reads the root key from its source again, or takes a passphrase. Throws what opening throws. */
  unseal(passphrase?: Secret): Promise<void>
  /** Stops what runs in the background, then seals. The database is the caller's. */
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
  keyring.load(opened.keys)
  const staleForMs = options.staleForMs ?? defaultSnapshotLimits.staleForMs
  // Who allows no stale snapshot wants every key read at every request.
  const trustForMs = Math.min(defaultTrustForMs, staleForMs)
  const changes = new ChangeFeed({ db, listener: options.listener, clock, log, trustForMs })
  await changes.start()
  const parts: VaultParts = { db, keyring, deploymentId: opened.deploymentId, changes, clock, random, log }
  const vault = new OpenVault(options, parts, tokens, opened)
  vault.resume()
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
  readonly changes: ChangeFeed
  readonly #parts: VaultParts
  readonly #argon2: Argon2Guard
  readonly #snapshots: Snapshots
  readonly #recordKeys = new RecordKeys()
  readonly #turn = new Turn()
  readonly #closing = new AbortController()
  #source: RootKeySource
  #rootKeyId: string

  constructor(options: VaultOptions, parts: VaultParts, tokens: TokenFormat, opened: OpenedKeyring) {
    this.#parts = parts
    this.#source = options.rootKey
    this.#rootKeyId = opened.rootKeyId
    this.#argon2 = new Argon2Guard(options.argon2)
    this.#snapshots = new Snapshots(parts.changes, parts.clock, {
      ...defaultSnapshotLimits,
      staleForMs: options.staleForMs ?? defaultSnapshotLimits.staleForMs,
    })
    this.deploymentId = parts.deploymentId
    this.defaultOrganizationId = opened.defaultOrganizationId
    this.created = opened.created
    this.tokens = tokens
    this.changes = parts.changes
    this.verifier = new TokenVerifier(parts, tokens, this.#argon2, this.#snapshots)
    this.providerKeys = new ProviderKeys(parts)
    this.proxyKeys = new ProxyKeys({ parts, tokens, argon2: this.#argon2 })
    this.groups = new Groups(parts)
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
      rootKeySource: this.#source.kind,
      rootKeyId: this.sealed ? null : this.#rootKeyId,
      keyring: this.#parts.keyring.describe(),
    }
  }

  async verifyAll(): Promise<DamageReport> {
    if (this.sealed) throw new LatchkeyError('vault_sealed')
    return findDamage(this.#parts)
  }

  rotateRoot(target?: RootKeySource): Promise<RootRotation> {
    return this.#turn.take(async () => {
      if (this.sealed) throw new LatchkeyError('vault_sealed')
      const source = this.#source
      if (target === undefined && source.kind !== 'file')
        throw new LatchkeyError('invalid_request', {
          message: 'The root key is not in a file: say which one shall replace it.',
        })
      const rotation =
        target === undefined && source.kind === 'file'
          ? await rotateRootFile(this.#parts, source.path)
          : await rotateRootTo(this.#parts, source, target ?? source)
      this.#source = target ?? source
      this.#rootKeyId = rotation.rootKeyId
      this.#parts.log.info('root_key.rotated')
      return rotation
    })
  }

  rotateKeyring(purposes: readonly RingPurpose[] = ringPurposes): Promise<readonly KeyringRotation[]> {
    return this.#turn.take(async () => {
      const rotations: KeyringRotation[] = []
      for (const purpose of purposes) {
        if (this.sealed) throw new LatchkeyError('vault_sealed')
        const rotation = await rotateRingKey(this.#parts, this.#source, purpose, this.#closing.signal)
        this.#parts.log.info('keyring.rotated', {
          purpose,
          ringVersion: rotation.version,
          rows: rotation.rows,
        })
        rotations.push(rotation)
      }
      return rotations
    })
  }

  rotationIdle(): Promise<void> {
    return this.#turn.take(() => Promise.resolve())
  }

  seal(): void {
    this.#parts.keyring.wipe()
    this.#recordKeys.wipe()
    this.#snapshots.wipe()
    this.#parts.log.info('vault.sealed')
  }

  unseal(passphrase?: Secret): Promise<void> {
    return this.#turn.take(async () => {
      if (!this.sealed) return
      const source: RootKeySource =
        passphrase === undefined ? this.#source : { kind: 'passphrase', passphrase }
      const opened = await loadKeyring(this.#parts, source)
      this.#source = source
      this.#rootKeyId = opened.rootKeyId
      this.#parts.keyring.load(opened.keys)
      this.#parts.log.info('vault.unsealed')
      this.resume()
    })
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.rotationIdle()
    await this.changes.close()
    this.seal()
  }

  /** Finishes in the background what an earlier process left half-done. Not part of `Vault`. */
  resume(): void {
    void this.#turn.take(async () => {
      try {
        const rows = await resumeRotation(this.#parts, this.#closing.signal)
        if (rows > 0) this.#parts.log.info('keyring.rotation_resumed', { rows })
      } catch (error) {
        this.#parts.log.error('keyring.resume_failed', errorFields(error))
      }
    })
  }
}
