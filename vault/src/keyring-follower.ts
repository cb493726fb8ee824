import { setTimeout as sleep } from 'node:timers/promises'
import { errorFields, LatchkeyError } from '@latchkey/shared'
import { type DeploymentState, readDeploymentState, setSealed } from './deployment-state.ts'
import { reopenKeyring } from './open-keyring.ts'
import type { RootKeySource } from './root-key.ts'
import type { VaultParts } from './vault-parts.ts'
import { reportEveryMs, type VaultProcesses, type VaultProcessReport } from './vault-processes.ts'

export interface KeyringFollowerOptions {
  readonly parts: VaultParts
  readonly processes: VaultProcesses
  readonly source: RootKeySource
  /** As of which the keyring was loaded. */
  readonly keyringRevision: bigint
  readonly rootKeyId: string
  /** Forgets what was derived from the keyring. */
  readonly wiped: () => void
  /** Called now and then while a rotation is named; decides whether it is to be finished here. */
  readonly rotationFound: (state: DeploymentState) => void
}

const learnEveryMs = 100
/** A root key that does not open the keyring is read again so often: an operator may have put the right one there. */
const retryEveryMs = 30_000
/** Whoever does not take its leave is not waited for by others 15 s later. */
const leaveWithinMs = 1_000

/**
 * Keeps the keyring of this process as the deployment has it: reads ring keys that another process added, seals and
 * unseals with the others, and says how far it is. What it can't open it says too, and goes on with what it has.
 */
export class KeyringFollower {
  readonly #options: KeyringFollowerOptions
  #source: RootKeySource
  #revision: bigint
  #rootKeyId: string
  /** The revision that could not be opened, and when. */
  #lockedOut: { readonly revision: bigint; readonly at: number } | undefined
  /** Sealed here, and the database has not taken it yet. */
  #sealUntold = false
  /** How often the keyring was wiped: what was read before the last time must not open it. */
  #wipes = 0
  #said = ''
  #following: Promise<void> | undefined
  #followAgain = false
  #failed = false
  #learnedAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #stopWatching: (() => void) | undefined
  #closed = false

  constructor(options: KeyringFollowerOptions) {
    this.#options = options
    this.#source = options.source
    this.#revision = options.keyringRevision
    this.#rootKeyId = options.rootKeyId
  }

  /** Says that this process is there, and follows from now on. Throws what the database throws. */
  async start(): Promise<void> {
    await this.#say(true)
    this.#stopWatching = this.#options.parts.changes.watch(() => void this.follow())
    this.#timer = setInterval(() => void this.#beat(), reportEveryMs)
    this.#timer.unref()
  }

  /** Where the root key is read from. */
  get source(): RootKeySource {
    return this.#source
  }

  get rootKeyId(): string {
    return this.#rootKeyId
  }

  /** Takes over how the deployment is now. Never throws: what fails is tried again. */
  follow(): Promise<void> {
    this.#followAgain = true
    this.#following ??= this.#followUntilQuiet()
    return this.#following
  }

  /** As `follow`, for whoever met a ring key's version that is not known here. Forged ones cost a pause, no flood. */
  async learn(): Promise<void> {
    const { clock } = this.#options.parts
    const waitMs = this.#learnedAt + learnEveryMs - clock.monotonic()
    this.#learnedAt = clock.monotonic() + Math.max(waitMs, 0)
    if (waitMs > 0) await sleep(waitMs)
    await this.follow()
  }

  /** Reads the root key from there from now on. */
  async use(source: RootKeySource): Promise<void> {
    this.#source = source
    this.#lockedOut = undefined
    await this.follow()
  }

  /**
   * Wipes the keyring here, at once, and seals every other process by the database. Throws `database_unavailable` where
   * that does not take it: they are told as soon as it does.
   */
  async seal(): Promise<void> {
    const { parts } = this.#options
    this.#sealUntold = true
    this.#wipe()
    try {
      await this.#tellSeal()
    } catch (error) {
      parts.log.warn('vault.seal_untold', errorFields(error))
      throw new LatchkeyError('database_unavailable', {
        message: 'This process is sealed. The others can’t be told before the database is back.',
        cause: error,
      })
    }
    await this.follow()
  }

  /** Lets every process open its vault again, each by its own root key. Throws what the database throws. */
  async unseal(): Promise<void> {
    this.#sealUntold = false
    this.#lockedOut = undefined
    await this.#options.parts.changes.transact(async (trx, bump) => {
      await setSealed(trx, null)
      await bump('keyring')
    })
    await this.follow()
  }

  /** Stops following and takes this process out of the list, if the database is there: it is not waited for long. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    this.#stopWatching?.()
    const { processes } = this.#options
    const leaving = Promise.resolve(this.#following).then(() => processes.leave())
    await Promise.race([leaving.catch(() => undefined), sleep(leaveWithinMs, undefined, { ref: false })])
    this.#wipe()
  }

  async #followUntilQuiet(): Promise<void> {
    while (this.#followAgain && !this.#closed) {
      this.#followAgain = false
      try {
        await this.#look()
        this.#failed = false
      } catch (error) {
        // The next change or report tries again.
        if (!this.#failed) this.#options.parts.log.warn('keyring.follow_failed', errorFields(error))
        this.#failed = true
      }
    }
    // In the same turn as the last look at the flag: a call in between would get no look of its own.
    this.#following = undefined
  }

  async #look(): Promise<void> {
    const { parts, rotationFound } = this.#options
    if (this.#sealUntold) await this.#tellSeal()
    const wipes = this.#wipes
    const state = await readDeploymentState(parts.db)
    if (state.sealed) {
      if (!parts.keyring.sealed) this.#wipe()
    } else if (parts.keyring.sealed || state.keyringRevision !== this.#revision) {
      await this.#reopen(state.keyringRevision, wipes)
    }
    await this.#say(false)
    if (state.rotating !== null && !parts.keyring.sealed) rotationFound(state)
  }

  /** Opens the keyring as it is now, unless it is sealed, or was wiped once more than the `wipes` times before this look. */
  async #reopen(revision: bigint, wipes: number): Promise<void> {
    const { parts } = this.#options
    const now = parts.clock.monotonic()
    if (this.#lockedOut?.revision === revision && now - this.#lockedOut.at < retryEveryMs) return
    try {
      const opened = await reopenKeyring(parts, this.#source)
      // Sealed meanwhile, here or by another process: deriving the root key takes long enough.
      if (opened.sealed || this.#sealUntold || wipes !== this.#wipes) {
        for (const key of opened.keys) key.bytes.fill(0)
        if (opened.sealed) this.#wipe()
        return
      }
      const wasSealed = parts.keyring.sealed
      parts.keyring.load(opened.keys)
      this.#revision = opened.keyringRevision
      this.#rootKeyId = opened.rootKeyId
      this.#lockedOut = undefined
      if (wasSealed) parts.log.info('vault.unsealed')
      else parts.log.info('keyring.followed')
    } catch (error) {
      if (!(error instanceof LatchkeyError)) throw error
      this.#lockedOut = { revision, at: now }
      parts.log.error('keyring.locked_out', errorFields(error))
    }
  }

  #wipe(): void {
    const { parts, wiped } = this.#options
    const wasOpen = !parts.keyring.sealed
    this.#wipes++
    parts.keyring.wipe()
    wiped()
    if (wasOpen) parts.log.info('vault.sealed')
  }

  async #tellSeal(): Promise<void> {
    const { changes, clock } = this.#options.parts
    await changes.transact(async (trx, bump) => {
      await setSealed(trx, new Date(clock.now()))
      await bump('keyring')
    })
    this.#sealUntold = false
  }

  async #beat(): Promise<void> {
    await this.follow()
    await this.#say(true).catch(() => undefined)
  }

  /** Says how this process is; unless `always`, only where that has changed. */
  async #say(always: boolean): Promise<void> {
    if (this.#closed) return
    const report = this.#report()
    const text = `${report.state} ${report.keyringRevision} ${report.rootKeyId}`
    if (!always && text === this.#said) return
    await this.#options.processes.report(report)
    this.#said = text
  }

  #report(): VaultProcessReport {
    const { keyring } = this.#options.parts
    const keyringRevision = this.#lockedOut?.revision ?? this.#revision
    if (keyring.sealed) return { keyringRevision, rootKeyId: null, state: 'sealed' }
    const state = this.#lockedOut === undefined ? 'open' : 'locked-out'
    return { keyringRevision, rootKeyId: this.#rootKeyId, state }
  }
}
