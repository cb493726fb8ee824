import { createHash } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { errorCode } from '../../error-code.ts'
import { LatchkeyError } from '../../errors.ts'
import type { Layout } from './layout.ts'
import type { ServerUser } from './server-user.ts'
import { socketPort } from './settings.ts'

export interface SocketDirectory {
  readonly path: string
  /** Removes it if it is not in the data directory. What can't be removed stays. */
  discard(): void
}

// `sun_path` of sockaddr_un, less its closing zero byte: unix(7), and <sys/un.h> of macOS.
const longestSocketPath = process.platform === 'darwin' ? 103 : 107
const socketName = `.s.PGSQL.${socketPort}`

/**
 * A directory, mode 0700, for the server's socket: in the data directory, or in the system's
 * temporary one where that makes too long a path. What an earlier server left in it is removed, so
 * no server may be running. Throws `directory_unreachable` where neither path is short enough.
 */
export function prepareSocketDirectory(layout: Layout, user: ServerUser | null): SocketDirectory {
  if (fits(layout.socketDirectory)) {
    mkdirSync(layout.socketDirectory, { recursive: true, mode: 0o700 })
    chmodSync(layout.socketDirectory, 0o700)
    if (user) chownSync(layout.socketDirectory, user.uid, user.gid)
    clear(layout.socketDirectory)
    return { path: layout.socketDirectory, discard: () => undefined }
  }
  const path = temporaryDirectory(layout, user)
  clear(path)
  return { path, discard: () => removeIfEmpty(path) }
}

function fits(directory: string): boolean {
  return Buffer.byteLength(join(directory, socketName)) <= longestSocketPath
}

/** A server that was killed leaves both; the lock's pid may by now be somebody else's, and then blocks Postgres. */
function clear(directory: string): void {
  rmSync(join(directory, socketName), { force: true })
  rmSync(join(directory, `${socketName}.lock`), { force: true })
}

function temporaryDirectory(layout: Layout, user: ServerUser | null): string {
  // The same name at each start, so that kill -9 does not litter.
  const name = `latchkey-${createHash('sha256').update(layout.directory).digest('hex').slice(0, 16)}`
  for (const parent of [tmpdir(), '/tmp']) {
    const path = join(parent, name)
    if (!fits(path)) continue
    if (claim(path, user)) return path
    // Somebody else has that name; a random one can't be taken in advance.
    const random = mkdtempSync(join(parent, 'latchkey-'))
    if (fits(random) && claim(random, user)) return random
  }
  throw new LatchkeyError('directory_unreachable', {
    message: `The path of the data directory ${layout.directory} is too long for a Unix socket, and so is that of the temporary directory ${tmpdir()}. Set LATCHKEY_DATA_DIR or TMPDIR to a shorter one.`,
    details: { path: layout.directory },
  })
}

/** Makes `path`, or takes it over if it is ours already. False where it is anything else: a link, a file, somebody's. */
function claim(path: string, user: ServerUser | null): boolean {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if (!hasCode(error, ['EEXIST'])) throw error
  }
  const descriptor = openDirectory(path)
  if (descriptor === null) return false
  try {
    const { uid, mode } = fstatSync(descriptor)
    const owned = uid === process.getuid?.() || uid === user?.uid
    if (!owned || (mode & 0o777) !== 0o700) return false
    if (user) fchownSync(descriptor, user.uid, user.gid)
    return true
  } finally {
    closeSync(descriptor)
  }
}

/** What is checked is what was opened, so nobody can exchange it in between. Null for a link, a file, or no access. */
function openDirectory(path: string): number | null {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  } catch (error) {
    if (hasCode(error, ['ENOTDIR', 'ELOOP', 'EACCES', 'ENOENT'])) return null
    throw error
  }
}

function hasCode(error: unknown, codes: readonly string[]): boolean {
  const code = errorCode(error)
  return code !== null && codes.includes(code)
}

function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path)
  } catch {
    // Not empty, or gone: it is claimed again at the next start.
  }
}
