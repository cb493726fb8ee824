import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { errorCode } from '../../error-code.ts'
import { LatchkeyError } from '../../errors.ts'
import { diskFull, withFilesystemFaults } from './filesystem-fault.ts'

/** Says that this process alone uses the data directory, until `release` or the process's death. */
export interface DirectoryLock {
  /** The data directory: absolute, without symbolic links. */
  readonly directory: string
  release(): void
}

// The lock lives as long as its handle, so a handle that a caller forgets must not be collected.
const heldLocks = new Set<DatabaseSync>()

// Result codes of SQLite, https://www.sqlite.org/rescode.html
const sqliteBusy = 5
const sqliteFull = 13

/**
 * Takes the data directory, which is made (mode 0700) if it is missing. The lock is SQLite's on
 * `gateway.lock`, since that is the one in Node's library which the kernel frees on kill -9; the
 * owner's pid stands in `gateway.pid`. Throws `directory_locked` with that pid,
 * `directory_unreachable` or `disk_full`.
 */
export function lockDataDirectory(directory: string): DirectoryLock {
  const real = withFilesystemFaults(directory, () => makeDirectory(resolve(directory)))
  const file = join(real, 'gateway.lock')
  const pidFile = join(real, 'gateway.pid')
  const handle = takeLock(file, pidFile)
  heldLocks.add(handle)
  const release = () => {
    if (!heldLocks.delete(handle)) return
    rmSync(pidFile, { force: true })
    handle.close()
  }
  try {
    withFilesystemFaults(file, () => {
      chmodSync(file, 0o600)
      writePid(pidFile)
    })
  } catch (error) {
    release()
    throw error
  }
  return { directory: real, release }
}

/**
 * The process that holds the data directory now, or null. Asks the lock, not the pid alone, which after a
 * kill -9 may be another program's. A start that takes the lock in the same microseconds may be refused.
 */
export function lockHolder(directory: string): number | null {
  const file = join(directory, 'gateway.lock')
  return existsSync(file) && isLocked(file) ? lastLockHolder(directory) : null
}

/** The process that took the data directory last and has not given it back, alive or not. The lock is not asked. */
export function lastLockHolder(directory: string): number | null {
  return readPid(join(directory, 'gateway.pid'))
}

function isLocked(file: string): boolean {
  let handle: DatabaseSync | null = null
  try {
    handle = new DatabaseSync(file, { readOnly: true, timeout: 0 })
    handle.exec('SELECT count(*) FROM sqlite_schema')
    return false
  } catch (error) {
    return sqliteCode(error) === sqliteBusy
  } finally {
    handle?.close()
  }
}

function makeDirectory(directory: string): string {
  // With its parents left to the umask: they may be shared, and Postgres's user must pass them.
  mkdirSync(dirname(directory), { recursive: true })
  try {
    mkdirSync(directory, { mode: 0o700 })
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
  }
  accessSync(join(directory, '.'), constants.R_OK | constants.W_OK | constants.X_OK)
  return realpathSync(directory)
}

function takeLock(file: string, pidFile: string): DatabaseSync {
  let handle: DatabaseSync | null = null
  try {
    handle = new DatabaseSync(file, { timeout: 0 })
    // Nothing is ever written, so no journal file is needed, nor disk space for one.
    handle.exec('PRAGMA journal_mode = memory; BEGIN EXCLUSIVE')
    return handle
  } catch (error) {
    handle?.close()
    switch (sqliteCode(error)) {
      case sqliteBusy:
        throw alreadyLocked(dirname(file), pidFile)
      case sqliteFull:
        throw diskFull(file, error)
      default:
        throw new LatchkeyError('directory_unreachable', {
          message: `${file} cannot be locked. It must be a file that this user can write, on a file system that supports locks.`,
          details: { path: file },
          cause: error,
        })
    }
  }
}

function sqliteCode(error: unknown): number | null {
  // The low byte is the primary code, the rest says more.
  if (error instanceof Error && 'errcode' in error && typeof error.errcode === 'number')
    return error.errcode & 0xff
  return null
}

function alreadyLocked(directory: string, pidFile: string): LatchkeyError {
  const pid = readPid(pidFile)
  const owner = pid === null ? 'Another gateway' : `Another gateway, process ${pid},`
  return new LatchkeyError('directory_locked', {
    message: `${owner} runs on the data directory ${directory}. Stop it first, or set LATCHKEY_DATA_DIR to another directory.`,
    details: { path: directory, pid },
  })
}

function readPid(pidFile: string): number | null {
  try {
    const pid = Number(readFileSync(pidFile, 'utf8'))
    return Number.isSafeInteger(pid) && pid > 0 ? pid : null
  } catch {
    return null
  }
}

/** By rename, so that whoever is refused at this moment never reads half a number. */
function writePid(pidFile: string): void {
  const unfinished = `${pidFile}.new`
  writeFileSync(unfinished, `${process.pid}\n`, { mode: 0o600 })
  renameSync(unfinished, pidFile)
}
