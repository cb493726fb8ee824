import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LatchkeyError, lockDataDirectory, lockHolder } from '@latchkey/shared'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startEmbeddedProcess } from '../support/embedded-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

function refusal(directory: string): LatchkeyError {
  try {
    lockDataDirectory(directory).release()
  } catch (error) {
    if (error instanceof LatchkeyError) return error
    throw error
  }
  throw new Error('the directory was locked')
}

describe('the lock on the data directory', () => {
  it('makes a missing directory for its owner alone, and the parents of it', () => {
    const directory = join(temporaryDirectory(), 'parent', 'data')
    const lock = lockDataDirectory(directory)
    onTestFinished(() => lock.release())
    expect(lock.directory).toBe(directory)
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    expect(statSync(join(directory, 'gateway.lock')).mode & 0o777).toBe(0o600)
  })

  it('refuses a second process, naming the pid of the first, and is free once that one is killed', async () => {
    const directory = temporaryDirectory()
    const first = startEmbeddedProcess(directory)
    expect(await first.next()).toStrictEqual({ kind: 'locked' })
    const refused = refusal(directory)
    expect(refused.code).toBe('directory_locked')
    expect(refused.details).toStrictEqual({ path: directory, pid: first.pid })
    expect(refused.message).toContain(String(first.pid))
    expect(lockHolder(directory)).toBe(first.pid)

    await first.kill()
    // Its pid still stands there, and may be another program's.
    expect(existsSync(join(directory, 'gateway.pid'))).toBe(true)
    expect(lockHolder(directory)).toBeNull()
    const lock = lockDataDirectory(directory)
    expect(readFileSync(join(directory, 'gateway.pid'), 'utf8')).toBe(`${process.pid}\n`)
    lock.release()
  })

  it('refuses a second lock in the same process, which does not loosen the first', async () => {
    const directory = temporaryDirectory()
    const lock = lockDataDirectory(directory)
    onTestFinished(() => lock.release())
    expect(refusal(directory).code).toBe('directory_locked')
    const other = startEmbeddedProcess(directory)
    expect(await other.next()).toMatchObject({ kind: 'refused', code: 'directory_locked' })
  })

  it('is free after its release, which may be called twice and leaves no pid', () => {
    const directory = temporaryDirectory()
    const first = lockDataDirectory(directory)
    first.release()
    expect(existsSync(join(directory, 'gateway.pid'))).toBe(false)
    const second = lockDataDirectory(directory)
    first.release()
    expect(refusal(directory).code).toBe('directory_locked')
    second.release()
  })

  it('takes no pid from a file that holds none', () => {
    const directory = temporaryDirectory()
    const lock = lockDataDirectory(directory)
    onTestFinished(() => lock.release())
    writeFileSync(join(directory, 'gateway.pid'), 'nonsense')
    expect(refusal(directory).details).toStrictEqual({ path: directory, pid: null })
  })

  it.each([
    ['is a file', (base: string) => write(join(base, 'file'))],
    ['is below a file', (base: string) => join(write(join(base, 'file')), 'data')],
    ['can be made by nobody', () => '/proc/latchkey'],
    ['has a name that is too long', (base: string) => join(base, 'x'.repeat(300))],
    ['has a directory where the lock file goes', (base: string) => makeLockDirectory(base)],
  ])('says directory_unreachable, with the path, where the directory %s', (_title, prepare) => {
    const directory = prepare(temporaryDirectory())
    const refused = refusal(directory)
    expect(refused.code).toBe('directory_unreachable')
    expect(refused.message).toContain(String(refused.details?.path))
    expect(String(refused.details?.path)).toMatch(/^\//)
  })
})

function write(file: string): string {
  writeFileSync(file, '')
  return file
}

function makeLockDirectory(base: string): string {
  mkdirSync(join(base, 'gateway.lock'))
  return base
}
