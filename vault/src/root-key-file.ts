import { type FileHandle, link, open, rename, rm, unlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { errorCode, LatchkeyError, Secret } from '@latchkey/shared'
import { formatRootKey, parseRootKey, type RootKey } from './root-key.ts'

/**
 * The root key in a file: `<path>` holds the key, `<path>.next` the one that a rotation is moving to.
 * Every write is complete and on the disk before it can be seen under its name.
 */
export class RootKeyFile {
  readonly path: string
  readonly nextPath: string

  constructor(path: string) {
    this.path = resolve(path)
    this.nextPath = `${this.path}.next`
  }

  /** The key, or undefined if there is no file. Throws `root_key_invalid`. */
  read(): Promise<RootKey | undefined> {
    return readKey(this.path)
  }

  /** The key that a rotation was moving to, if one is or was under way. Throws `root_key_invalid`. */
  readNext(): Promise<RootKey | undefined> {
    return readKey(this.nextPath)
  }

  /** Makes the file, unless somebody else just did; gives the key that it now holds. */
  async create(key: RootKey): Promise<RootKey> {
    await publish(this.path, key)
    const kept = await this.read()
    if (kept === undefined) throw new LatchkeyError('root_key_missing')
    return kept
  }

  /** Puts `key` beside the current one. A leftover there must have been settled before. */
  async stage(key: RootKey): Promise<void> {
    if ((await publish(this.nextPath, key)) === 'exists') throw new LatchkeyError('conflict')
  }

  /** The staged key becomes the current one, in one step. */
  async promote(): Promise<void> {
    await guard(this.path, () => rename(this.nextPath, this.path))
    await syncDirectory(this.path)
  }

  /** Removes what a kill in the middle of a write has left: drafts hold keys, too. */
  async tidy(): Promise<void> {
    for (const path of [this.path, this.nextPath]) await rm(draftOf(path), { force: true })
  }

  /** Forgets the staged key. */
  async discardNext(): Promise<void> {
    await guard(this.nextPath, () => unlink(this.nextPath))
    await syncDirectory(this.path)
  }
}

async function readKey(path: string): Promise<RootKey | undefined> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw invalid(path, 'it cannot be read', error)
  }
  try {
    const { mode, size } = await file.stat()
    if ((mode & 0o077) !== 0) throw invalid(path, 'others can read it; run chmod 600 on it')
    if (size > 1024) throw invalid(path, 'it is too big to be a root key')
    return parseRootKey(new Secret(await file.readFile('utf8')))
  } catch (error) {
    if (error instanceof LatchkeyError) throw error
    throw invalid(path, 'it cannot be read', error)
  } finally {
    await file.close()
  }
}

/** `link` refuses to replace what is there, where `rename` would silently overwrite a root key. */
async function publish(path: string, key: RootKey): Promise<'made' | 'exists'> {
  const draft = draftOf(path)
  return guard(path, async () => {
    await rm(draft, { force: true })
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(formatRootKey(key).reveal())
      await file.sync()
    } finally {
      await file.close()
    }
    try {
      await link(draft, path)
    } catch (error) {
      if (errorCode(error) === 'EEXIST') return 'exists'
      throw error
    } finally {
      await unlink(draft)
      await syncDirectory(path)
    }
    return 'made'
  })
}

function draftOf(path: string): string {
  return `${path}.draft`
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(dirname(path), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

async function guard<Result>(path: string, write: () => Promise<Result>): Promise<Result> {
  try {
    return await write()
  } catch (error) {
    if (errorCode(error) === 'ENOSPC' || errorCode(error) === 'EDQUOT')
      throw new LatchkeyError('disk_full', { cause: error })
    throw new LatchkeyError('directory_unreachable', {
      message: `The root key cannot be written to ${path}.`,
      cause: error,
    })
  }
}

function invalid(path: string, why: string, cause?: unknown): LatchkeyError {
  return new LatchkeyError('root_key_invalid', { message: `The root key file ${path}: ${why}.`, cause })
}
