import { LatchkeyError, systemRandom } from '@latchkey/shared'
import { checkServer, postgresMajor } from '@latchkey/shared/database'
import type { ServerDatabase } from '../../config.ts'
import { describeRefusal } from '../../runtime/database-refusal.ts'
import { readServerConnection } from '../../runtime/server.ts'
import { type Finding, fail, ok } from './finding.ts'
import type { Situation } from './situation.ts'

/**
 * The database as the running gateway sees it; without one, whether that of `DATABASE_URL` can be used, or the
 * embedded one's directory fits the binaries.
 */
export async function checkDatabase({ gateway, clusterMajor, server }: Situation): Promise<Finding> {
  if (gateway.kind === 'running') {
    const { database, mode } = gateway.status
    return database.kind === 'reachable'
      ? ok(
          'database',
          `PostgreSQL ${database.version} (${mode} mode) answers the gateway in ${database.pingMs.toFixed(1)} ms`,
        )
      : fail(
          'database',
          'the gateway cannot reach its database',
          'Its log says why; restart it if it stays so.',
        )
  }
  return server === null ? checkCluster(clusterMajor) : checkOwnServer(server)
}

function checkCluster(major: string | null): Finding {
  if (major === null) return ok('database', 'will be made at the first start')
  if (major === String(postgresMajor)) return ok('database', `PostgreSQL ${major}, not running`)
  return fail(
    'database',
    `the data directory belongs to PostgreSQL ${major}, and this release brings ${postgresMajor}`,
    'Use the release that made it, or restore a backup into a new directory.',
  )
}

async function checkOwnServer(server: ServerDatabase): Promise<Finding> {
  try {
    const check = await checkServer(readServerConnection(server), systemRandom)
    return check.kind === 'suitable'
      ? ok('database', `PostgreSQL ${check.version} (server mode) can be used`)
      : fail('database', check.reason, 'Correct DATABASE_URL.')
  } catch (error) {
    const { message } = error instanceof LatchkeyError ? error : describeRefusal(error, server.connection)
    return fail('database', message, 'Correct DATABASE_URL, or start what it names.')
  }
}
