import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, LatchkeyError, lockDataDirectory, type RandomBytes } from '@latchkey/shared'

/** What one of several processes on a data directory has for itself, until it ends. */
export interface ProcessDirectory {
  /** Locked like a data directory, so that others can tell whether its process lives. */
  readonly path: string
  /** Short enough for the paths of sockets in it; mostly the same. */
  readonly socketDirectory: string
  /** Removes it. */
  release(): void
}

// A start that has made its directory has not locked it yet.
const abandonedAfterMs = 60_000
// `sun_path` of sockaddr_un on macOS, which is the shorter one, less room for the socket's name.
const longestSocketDirectory = 103 - '/warm.sock'.length

/**
 * Makes a directory in `processes` in the data directory (which is made, mode 0700), and removes those of processes
 * that were killed. Throws `directory_unreachable` or `disk_full`.
 */
export function takeProcessDirectory(
  dataDirectory: string,
  clock: Clock,
  random: RandomBytes,
): ProcessDirectory {
  makePrivate(dataDirectory)
  removeAbandoned(dataDirectory, clock)
  const lock = lockDataDirectory(join(parentOf(dataDirectory), Buffer.from(random(6)).toString('hex')))
  const path = lock.directory
  const fits = Buffer.byteLength(path) <= longestSocketDirectory
  const socketDirectory = fits ? path : mkdtempSync(join(tmpdir(), 'latchkey-'))
  return {
    path,
    socketDirectory,
    release() {
      // Under the lock, or a start would take it for abandoned in between.
      for (const directory of [socketDirectory, path]) rmSync(directory, { recursive: true, force: true })
      lock.release()
    },
  }
}

/** The directories of the processes that share a data directory, of the dead ones too. */
export function processDirectories(dataDirectory: string): readonly string[] {
  const parent = parentOf(dataDirectory)
  return existsSync(parent) ? readdirSync(parent).map((name) => join(parent, name)) : []
}

function parentOf(dataDirectory: string): string {
  return join(dataDirectory, 'processes')
}

function makePrivate(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw new LatchkeyError('directory_unreachable', {
      message: `The data directory ${directory} cannot be made. Set LATCHKEY_DATA_DIR to another one.`,
      details: { path: directory },
      cause,
    })
  }
}

function removeAbandoned(dataDirectory: string, clock: Clock): void {
  for (const directory of processDirectories(dataDirectory)) {
    try {
      if (clock.now() - statSync(directory).mtimeMs < abandonedAfterMs) continue
      const lock = lockDataDirectory(directory)
      rmSync(directory, { recursive: true, force: true })
      lock.release()
    } catch {
      // Its process lives, or another start has just removed it.
    }
  }
}
