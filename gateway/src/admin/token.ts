import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { errorCode, LatchkeyError, type RandomBytes, Secret } from '@latchkey/shared'
import { TokenFormat } from '@latchkey/vault/proxy-key'

/** The file in the data directory that holds the admin token. Whoever can read it is an admin. */
export function adminTokenFile(dataDirectory: string): string {
  return join(dataDirectory, 'admin.token')
}

/**
 * The deployment's admin token, made at the first start (mode 0600). `prefix` is that of every token.
 * Throws `directory_unreachable` where the file can't be made, read, or kept to its owner.
 */
export function ensureAdminToken(dataDirectory: string, random: RandomBytes, prefix = 'lk'): Secret {
  const existing = readAdminToken(dataDirectory)
  if (existing !== null) return existing
  const file = adminTokenFile(dataDirectory)
  try {
    mkdirSync(dataDirectory, { recursive: true, mode: 0o700 })
    publish(file, new TokenFormat(prefix).mint('admin', random).token)
  } catch (error) {
    throw unusable(file, 'cannot be written', error)
  }
  const kept = readAdminToken(dataDirectory)
  if (kept === null) throw unusable(file, 'vanished as it was written')
  return kept
}

/** The admin token, or null if there is no file. Throws `directory_unreachable` if others may read it. */
export function readAdminToken(dataDirectory: string): Secret | null {
  const file = adminTokenFile(dataDirectory)
  let descriptor: number
  try {
    descriptor = openSync(file, 'r')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null
    throw unusable(file, 'cannot be read', error)
  }
  try {
    if ((fstatSync(descriptor).mode & 0o077) !== 0) {
      throw unusable(file, 'may be read by other users. Run chmod 600 on it, or delete it to get a new token')
    }
    const token = readFileSync(descriptor, 'utf8').trim()
    // An empty token would equal the empty one that a request without a token sends.
    if (token.length < 32 || token.length > 256) throw unusable(file, 'holds no admin token. Delete it')
    return new Secret(token)
  } finally {
    closeSync(descriptor)
  }
}

/** `link` never replaces: of two that start at once, both end up with the token of the first. */
function publish(file: string, token: Secret): void {
  const draft = `${file}.${process.pid}`
  rmSync(draft, { force: true })
  const descriptor = openSync(draft, 'wx', 0o600)
  try {
    writeSync(descriptor, `${token.reveal()}\n`)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  try {
    linkSync(draft, file)
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

function unusable(file: string, why: string, cause?: unknown): LatchkeyError {
  return new LatchkeyError('directory_unreachable', {
    message: `The admin token file ${file} ${why}.`,
    cause,
  })
}
