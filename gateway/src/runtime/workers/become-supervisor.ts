import { flushCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { LogLevel } from '@latchkey/shared'

/** What a supervisor has to know. */
export interface SupervisorTask {
  readonly workers: number
  readonly logLevel: LogLevel
  /** Milliseconds for running requests once it is to stop. */
  readonly drainTimeoutMs: number
}

/**
 * Replaces this process by the supervisor of a gateway's workers, under the same process id (execve(2)), so that none of
 * the command line's memory stays behind for as long as the gateway runs. Nothing after it is executed.
 */
export function becomeSupervisor(
  { workers, logLevel, drainTimeoutMs }: SupervisorTask,
  env: NodeJS.ProcessEnv,
): never {
  const { execve } = process
  if (execve === undefined)
    throw new Error('This platform has no execve(2): Latchkey runs on Linux and macOS.')
  flushCompileCache()
  const script = import.meta.url.endsWith('.ts') ? './supervisor-main.ts' : './supervisor-main.js'
  const file = fileURLToPath(new URL(script, import.meta.url))
  const { execPath, execArgv } = process
  return execve(
    execPath,
    [execPath, ...execArgv, file, String(workers), logLevel, String(drainTimeoutMs)],
    env,
  )
}
