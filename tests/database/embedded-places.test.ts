import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { lockDataDirectory, systemClock } from '@latchkey/shared'
import { startEmbeddedPostgres } from '@latchkey/shared/database'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { locateBinaries } from '../../shared/src/database/embedded/binaries.ts'
import { spawnProgram } from '../../shared/src/database/embedded/spawn-program.ts'
import { copyCluster, type OpenEmbedded, openEmbedded, queryColumn } from '../support/embedded.ts'
import { recordLog } from '../support/recorded-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const root = process.getuid?.() === 0

// One cluster for the file; tests that don't need initdb copy it.
const template = mkdtempSync(join(tmpdir(), 'latchkey-test-'))
afterAll(() => rmSync(template, { recursive: true, force: true }))
beforeAll(async () => {
  const lock = lockDataDirectory(template)
  const postgres = await startEmbeddedPostgres({ lock, clock: systemClock, log: recordLog() })
  await postgres.stop()
  lock.release()
})

/** Opens `directory` with a copy of that cluster. */
function openCopy(directory: string): Promise<OpenEmbedded> {
  copyCluster(template, directory)
  return openEmbedded(directory)
}

/** A directory that Postgres's user may pass, for data directories to lie in. */
function openParent(): string {
  const directory = temporaryDirectory()
  chmodSync(directory, 0o755)
  return directory
}

describe('a data directory whose path is too long for a socket', () => {
  const long = (parent: string) => join(parent, 'x'.repeat(110), 'data')

  it('has its socket in a private temporary directory, the same at each start, gone after the stop', async () => {
    const directory = long(openParent())
    const first = await openCopy(directory)
    const { host } = first.connection
    expect(dirname(host)).toBe(tmpdir())
    expect(statSync(host).mode & 0o777).toBe(0o700)
    expect(statSync(host).uid).toBe(statSync(join(directory, 'postgres')).uid)
    expect(await queryColumn(first.connection, 'SELECT 1')).toStrictEqual([1])
    await first.close()
    expect(existsSync(host)).toBe(false)

    const second = await openEmbedded(directory)
    expect(second.connection.host).toBe(host)
  })

  const obstacles: readonly {
    readonly title: string
    readonly rootOnly?: boolean
    plant(path: string, target: string): void
  }[] = [
    { title: 'a symbolic link', plant: (path, target) => symlinkSync(target, path) },
    { title: 'a directory that others may enter', plant: (path) => mkdirSync(path, { mode: 0o755 }) },
    { title: 'a file', plant: (path) => writeFileSync(path, '') },
    { title: 'somebody else’s directory', rootOnly: true, plant: makeForeign },
  ]
  it.each(obstacles.filter(({ rootOnly }) => root || !rootOnly))(
    'does not use $title that lies where it would make the directory',
    async ({ plant }) => {
      const directory = long(openParent())
      const target = temporaryDirectory()
      const name = `latchkey-${createHash('sha256').update(directory).digest('hex').slice(0, 16)}`
      const planted = join(tmpdir(), name)
      plant(planted, target)
      onTestFinished(() => rmSync(planted, { recursive: true, force: true }))
      const before = lstatSync(planted)

      const { connection } = await openCopy(directory)
      expect(connection.host).not.toBe(planted)
      expect(await queryColumn(connection, 'SELECT 1')).toStrictEqual([1])
      expect(readdirSync(target)).toStrictEqual([])
      const after = lstatSync(planted)
      expect([after.ino, after.uid, after.mode]).toStrictEqual([before.ino, before.uid, before.mode])
    },
  )
})

describe('a data directory', () => {
  it('may have spaces, commas, quotes and letters beyond ASCII in its path', async () => {
    const { connection } = await openEmbedded(join(openParent(), 'a "b", \'c\' é'))
    expect(await queryColumn(connection, 'SELECT 1')).toStrictEqual([1])
  })

  it('of another major version is refused with both named, and left as it is', async () => {
    const directory = join(openParent(), 'data')
    const first = await openCopy(directory)
    await queryColumn(first.connection, 'CREATE TABLE kept AS SELECT 3 AS value')
    await first.close()
    const version = join(directory, 'postgres', 'PG_VERSION')
    writeFileSync(version, '17\n')
    await expect(openEmbedded(directory)).rejects.toMatchObject({
      code: 'postgres_version',
      message: expect.stringMatching(/Postgres 17.*Postgres 18/),
      details: { found: '17', wanted: 18 },
    })
    writeFileSync(version, '18\n')
    const { connection } = await openEmbedded(directory)
    expect(await queryColumn(connection, 'SELECT value FROM kept')).toStrictEqual([3])
  })

  it('with something else in the place of the cluster is refused, and that is left alone', async () => {
    const directory = join(openParent(), 'data')
    mkdirSync(join(directory, 'postgres'), { recursive: true })
    writeFileSync(join(directory, 'postgres', 'letter.txt'), 'dear diary')
    await expect(openEmbedded(directory)).rejects.toMatchObject({
      code: 'postgres_failed',
      message: expect.stringContaining(join(directory, 'postgres')),
    })
    expect(readFileSync(join(directory, 'postgres', 'letter.txt'), 'utf8')).toBe('dear diary')
  })

  it('may be moved between a stop and a start', async () => {
    const parent = openParent()
    const first = await openCopy(join(parent, 'before'))
    await queryColumn(first.connection, 'CREATE TABLE kept AS SELECT 4 AS value')
    await first.close()
    renameSync(join(parent, 'before'), join(parent, 'after'))
    const { connection } = await openEmbedded(join(parent, 'after'))
    expect(await queryColumn(connection, 'SELECT value FROM kept')).toStrictEqual([4])
  })
})

describe.runIf(root)('where the gateway is root', () => {
  it('Postgres runs as another user, who can pass through the data directory and not write in it', async () => {
    const directory = join(openParent(), 'data')
    const { postgres } = await openEmbedded(directory)
    const cluster = statSync(join(directory, 'postgres'))
    expect(cluster.uid).not.toBe(0)
    expect(statSync(`/proc/${postgres.pid}`).uid).toBe(cluster.uid)
    const data = statSync(directory)
    expect([data.uid, data.gid, data.mode & 0o777]).toStrictEqual([0, cluster.gid, 0o710])
  })

  it('a cluster that another user owns keeps its owner, who runs it', async () => {
    const directory = join(openParent(), 'data')
    const first = await openCopy(directory)
    await first.close()
    const cluster = join(directory, 'postgres')
    execFileSync('chown', ['-R', '54321:54321', cluster])
    const { postgres, connection } = await openEmbedded(directory)
    expect(statSync(`/proc/${postgres.pid}`).uid).toBe(54321)
    expect(await queryColumn(connection, 'SELECT 1')).toStrictEqual([1])
  })

  it('a cluster that root owns, as after a restore, is given to the other user', async () => {
    const directory = join(openParent(), 'data')
    const first = await openCopy(directory)
    await first.close()
    const cluster = join(directory, 'postgres')
    execFileSync('chown', ['-R', '0:0', cluster])
    chmodSync(cluster, 0o755)
    const { connection } = await openEmbedded(directory)
    expect(await queryColumn(connection, 'SELECT 1')).toStrictEqual([1])
    expect(statSync(cluster).mode & 0o777).toBe(0o700)
  })

  it('a directory on the way that the other user cannot enter is named, with what to do', async () => {
    const parent = temporaryDirectory()
    await expect(openEmbedded(join(parent, 'between', 'data'))).rejects.toMatchObject({
      code: 'directory_unreachable',
      message: expect.stringMatching(
        new RegExp(`cannot enter ${parent}\\. .*LATCHKEY_DATA_DIR.*chmod o\\+x`),
      ),
      details: { path: parent },
    })
    chmodSync(parent, 0o711)
    const { connection } = await openEmbedded(join(parent, 'between', 'data'))
    expect(await queryColumn(connection, 'SELECT 1')).toStrictEqual([1])
  })

  it('a full disk at the first start is said, leaves nothing, and with room the next start works', async () => {
    const disk = mountDisk('24m')
    const directory = join(disk, 'data')
    await expect(openEmbedded(directory)).rejects.toMatchObject({
      code: 'disk_full',
      message: expect.stringContaining(directory),
    })
    expect(readdirSync(directory).sort()).toStrictEqual(['gateway.lock'])
    execFileSync('mount', ['-o', 'remount,size=200m', disk])
    const { connection } = await openEmbedded(directory)
    expect(await queryColumn(connection, 'SELECT 1')).toStrictEqual([1])
  })

  it('a disk that fills up later stops writes alone, and a start on it is refused without harm', async () => {
    const disk = mountDisk('200m')
    const directory = join(disk, 'data')
    const filler = join(disk, 'filler')
    const first = await openCopy(directory)
    await queryColumn(first.connection, 'CREATE TABLE kept AS SELECT 5 AS value')
    fill(filler, disk)
    await expect(
      queryColumn(first.connection, 'INSERT INTO kept SELECT g FROM generate_series(1, 1000000) AS g'),
    ).rejects.toThrow()
    rmSync(filler)
    await untilAnswered(first.connection)
    expect(await queryColumn(first.connection, 'SELECT value FROM kept')).toStrictEqual([5])
    await first.close()

    fill(filler, disk)
    await expect(openEmbedded(directory)).rejects.toMatchObject({ code: 'disk_full' })
    rmSync(filler)
    const { connection } = await openEmbedded(directory)
    expect(await queryColumn(connection, 'SELECT value FROM kept')).toStrictEqual([5])
  })
})

describe('the binaries', () => {
  it('that cannot be run are named', async () => {
    const program = join(temporaryDirectory(), 'postgres')
    await expect(
      spawnProgram(program, [], { user: null, workingDirectory: '/', stdio: 'ignore' }),
    ).rejects.toMatchObject({ code: 'postgres_failed', message: expect.stringContaining(program) })
  })

  it('are found for this platform', () => {
    const { initdb, postgres } = locateBinaries()
    expect([existsSync(initdb), existsSync(postgres)]).toStrictEqual([true, true])
  })

  it.each([
    ['win32', 'x64'],
    ['sunos', 'sparc'],
  ])('are refused on %s, naming the way out', (platform, architecture) => {
    expect(() => locateBinaries(platform, architecture)).toThrow(
      expect.objectContaining({ code: 'postgres_failed', message: expect.stringContaining('DATABASE_URL') }),
    )
  })
})

function makeForeign(path: string): void {
  mkdirSync(path, { mode: 0o700 })
  chownSync(path, 54321, 54321)
}

/** A disk of its own, in memory. */
function mountDisk(size: string): string {
  const directory = openParent()
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=755`, 'tmpfs', directory])
  onTestFinished(() => {
    execFileSync('umount', [directory])
  })
  return directory
}

function fill(file: string, disk: string): void {
  const { bavail, bsize } = statfsSync(disk)
  writeFileSync(file, Buffer.alloc(bavail * bsize))
}

/** Until the server, which may have stopped and recovered, answers. */
async function untilAnswered(connection: Parameters<typeof queryColumn>[0]): Promise<void> {
  const deadline = Date.now() + 20_000
  for (;;) {
    try {
      await queryColumn(connection, 'SELECT 1')
      return
    } catch (error) {
      if (Date.now() > deadline) throw error
    }
  }
}
