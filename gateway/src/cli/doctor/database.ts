import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { postgresMajor } from '@latchkey/shared'
import { type Finding, fail, ok } from './finding.ts'
import type { Situation } from './situation.ts'

/** The database as the running gateway sees it; without one, whether its directory fits the binaries. */
export function checkDatabase({ gateway, dataDirectory }: Situation): Finding {
  if (gateway.kind === 'running') {
    const { database } = gateway.status
    return database.kind === 'reachable'
      ? ok(
          'database',
          `PostgreSQL ${database.version} answers the gateway in ${database.pingMs.toFixed(1)} ms`,
        )
      : fail(
          'database',
          'the gateway cannot reach its database',
          'Its log says why; restart it if it stays so.',
        )
  }
  const major = readMajor(dataDirectory)
  if (major === null) return ok('database', 'will be made at the first start')
  if (major === String(postgresMajor)) return ok('database', `PostgreSQL ${major}, not running`)
  return fail(
    'database',
    `the data directory belongs to PostgreSQL ${major}, and this release brings ${postgresMajor}`,
    'Use the release that made it, or restore a backup into a new directory.',
  )
}

function readMajor(dataDirectory: string): string | null {
  try {
    return readFileSync(join(dataDirectory, 'postgres', 'PG_VERSION'), 'utf8').trim()
  } catch {
    return null
  }
}
