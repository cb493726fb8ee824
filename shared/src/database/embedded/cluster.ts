import { once } from 'node:events'
import {
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../clock.ts'
import { errorCode } from '../../error-code.ts'
import { LatchkeyError } from '../../errors.ts'
import { errorFields, type Log } from '../../log.ts'
import { type PostgresBinaries, postgresMajor } from './binaries.ts'
import { type Layout, layoutOf } from './layout.ts'
import { interpretOutput } from './postgres-complaint.ts'
import type { ServerUser } from './server-user.ts'
import { spawnProgram } from './spawn-program.ts'

/** The only role; the socket's directory decides who may be it. */
export const superuser = 'latchkey'

export interface ClusterOptions {
  readonly layout: Layout
  readonly binaries: PostgresBinaries
  readonly user: ServerUser | null
  readonly clock: Clock
  readonly log: Log
}

const removalRetryMs = 20
// Longer than an initdb takes on a slow machine.
const removalDeadlineMs = 10_000

/**
 * Makes the cluster, Postgres's data directory, if it is not there. It is made beside its place
 * and renamed when it is whole, so a kill at any moment leaves none or a good one; what such a kill
 * left is removed. Throws `postgres_version` where the cluster is of another major version,
 * `disk_full`, `directory_unreachable` or `postgres_failed`.
 */
export async function ensureCluster(options: ClusterOptions): Promise<void> {
  const { layout } = options
  const unfinished = readdirSync(layout.directory).filter((name) => name.startsWith(layout.unfinishedPrefix))
  const removals = Promise.all(unfinished.map((name) => removeUnfinished(name, options)))
  try {
    if (existsSync(layout.cluster)) checkVersion(layout)
    else await initialize(options)
  } finally {
    await removals
  }
}

/** Repeated, since the initdb of a killed gateway goes on writing until it notices, or is done. */
async function removeUnfinished(name: string, { layout, clock, log }: ClusterOptions): Promise<void> {
  const deadline = clock.monotonic() + removalDeadlineMs
  for (;;) {
    try {
      await rm(join(layout.directory, name), { recursive: true, force: true })
      log.info('postgres.unfinished_removed', { name })
      return
    } catch (error) {
      if (clock.monotonic() > deadline) {
        // In nobody's way but the disk's; the next start tries again.
        log.warn('postgres.unfinished_kept', { name, ...errorFields(error) })
        return
      }
      await delay(removalRetryMs)
    }
  }
}

function checkVersion(layout: Layout): void {
  const found = clusterVersion(layout.directory)
  if (found === null)
    throw new LatchkeyError('postgres_failed', {
      message: `${layout.cluster} is there, but it is no data directory of Postgres: it has no PG_VERSION. Move it away, or restore it from a backup.`,
    })
  if (found !== String(postgresMajor))
    throw new LatchkeyError('postgres_version', {
      message: `${layout.cluster} belongs to Postgres ${found}, and this version of Latchkey brings Postgres ${postgresMajor}. Use the version of Latchkey that made it, or move its data with pg_dump and pg_restore.`,
      details: { found, wanted: postgresMajor },
    })
}

/** The major version of Postgres that the data directory's cluster belongs to, or null where there is none. */
export function clusterVersion(dataDirectory: string): string | null {
  try {
    return readFileSync(join(layoutOf(dataDirectory).cluster, 'PG_VERSION'), 'utf8').trim()
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null
    throw error
  }
}

async function initialize(options: ClusterOptions): Promise<void> {
  const { layout, user, clock, log } = options
  const started = clock.monotonic()
  const unfinished = mkdtempSync(join(layout.directory, layout.unfinishedPrefix))
  try {
    if (user) chownSync(unfinished, user.uid, user.gid)
    const { succeeded, output } = await runInitdb(unfinished, options)
    if (!succeeded) throw interpretOutput('initdb', output, layout.directory).error
    renameSync(unfinished, layout.cluster)
    syncDirectory(layout.directory)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    throw error
  }
  log.info('postgres.initialized', { durationMs: clock.monotonic() - started, major: postgresMajor })
}

/** Makes the rename survive a power cut; what is inside, initdb has synced. */
function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

async function runInitdb(
  directory: string,
  { binaries, user }: ClusterOptions,
): Promise<{ readonly succeeded: boolean; readonly output: string }> {
  const initdb = await spawnProgram(
    binaries.initdb,
    [
      `--pgdata=${directory}`,
      `--username=${superuser}`,
      // Whoever reaches the socket, in a directory of mode 0700, is let in.
      '--auth-local=trust',
      '--auth-host=reject',
      '--encoding=UTF8',
      // Sorts by code point, the same on every machine and after every upgrade of its libraries.
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--data-checksums',
      '--no-instructions',
    ],
    { user, workingDirectory: directory, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let output = ''
  const collect = (chunk: Buffer) => {
    output = (output + chunk.toString('utf8')).slice(-16_384)
  }
  initdb.stdout?.on('data', collect)
  initdb.stderr?.on('data', collect)
  const [exitCode]: unknown[] = await once(initdb, 'close')
  return { succeeded: exitCode === 0, output }
}
