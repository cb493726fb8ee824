import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../clock.ts'
import { errorCode } from '../../error-code.ts'
import { LatchkeyError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { postmasterFilePath, readPostmasterFile } from './postmaster-file.ts'
import { shutdownSteps } from './shutdown.ts'

const pollEveryMs = 10

/**
 * Stops the server that a killed gateway left running on `cluster`, if there is one, the way it
 * would have been stopped. For whoever holds the directory's lock: nobody else's server can be
 * there. It is stopped rather than adopted because only a child's death is reported to us.
 * Throws `postgres_failed` where it does not die.
 */
export async function stopOrphan(cluster: string, clock: Clock, log: Log): Promise<void> {
  const state = readPostmasterFile(cluster)
  if (state.kind === 'absent') return
  if (state.kind === 'present' && isServerOf(cluster, state.file.pid)) {
    const { pid } = state.file
    log.warn('postgres.orphan_found', { pid })
    await stopProcess(cluster, pid, clock)
    log.info('postgres.orphan_stopped', { pid })
  }
  // Where it is still there, its server died without tidying up. Postgres would refuse to start if
  // the pid is by now another program's; that no process uses the cluster's memory, it checks itself.
  rmSync(postmasterFilePath(cluster), { force: true })
}

async function stopProcess(cluster: string, pid: number, clock: Clock): Promise<void> {
  for (const step of shutdownSteps) {
    signal(pid, step.signal)
    const deadline = clock.monotonic() + step.waitMs
    while (clock.monotonic() < deadline) {
      if (!isServerOf(cluster, pid)) return
      await delay(pollEveryMs)
    }
  }
  throw new LatchkeyError('postgres_failed', {
    message: `A Postgres (process ${pid}) is left over on ${cluster} and does not stop, not even by SIGKILL.`,
    details: { pid },
  })
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error
  }
}

/**
 * Whether `pid` is a Postgres that was started on `cluster`. By its command line, which everybody
 * may read; `/proc/<pid>/cwd` would need CAP_SYS_PTRACE, which root lacks in a container. A process
 * that is dead but not reaped yet has none, and so is none.
 */
function isServerOf(cluster: string, pid: number): boolean {
  const [program = '', ...rest] = commandLine(pid)
  if (process.platform === 'linux')
    return basename(program) === 'postgres' && rest[rest.indexOf('-D') + 1] === cluster
  // ps joins the arguments with spaces.
  return `${program} `.includes(`postgres -D ${cluster} `)
}

function commandLine(pid: number): readonly string[] {
  try {
    if (process.platform === 'linux') return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return [execFileSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).trim()]
  } catch {
    return []
  }
}
