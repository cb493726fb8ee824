import { lastLockHolder } from '@latchkey/shared'
import { isProcessAlive } from '../../runtime/announcement.ts'
import { type Finding, ok, warn } from './finding.ts'
import type { Situation } from './situation.ts'

/** Who holds the data directory, by the pid beside the lock. The lock itself is not touched: taking it could stop a start. */
export function checkLock({ dataDirectory, gateway }: Situation): Finding {
  const pid = lastLockHolder(dataDirectory)
  if (pid === null) return ok('lock', 'free')
  if (!isProcessAlive(pid)) return ok('lock', `free (process ${pid}, which held it, has died)`)
  if (gateway.kind === 'running' && gateway.status.pid === pid) {
    return ok('lock', `held by the running gateway, process ${pid}`)
  }
  return warn(
    'lock',
    `process ${pid} holds the data directory, and does not answer`,
    'It may be starting or shutting down: look again. If that process is no gateway, the lock is free.',
  )
}
