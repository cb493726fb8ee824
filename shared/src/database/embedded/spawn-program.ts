import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { LatchkeyError } from '../../errors.ts'
import type { ServerUser } from './server-user.ts'

export interface SpawnOptions {
  /** Null for our own user. */
  readonly user: ServerUser | null
  readonly workingDirectory: string
  readonly stdio: StdioOptions
}

// Messages in English, and where initdb's `sh` finds its tools. Nothing else: ours may hold secrets.
const environment = { LC_ALL: 'C', PATH: '/usr/local/bin:/usr/bin:/bin' }

/**
 * Starts one of Postgres's programs in a process session of its own: Ctrl-C is for the gateway,
 * and must not stop the database while requests drain. Throws `postgres_failed` where it can't.
 */
export async function spawnProgram(
  program: string,
  programArguments: readonly string[],
  { user, workingDirectory, stdio }: SpawnOptions,
): Promise<ChildProcess> {
  try {
    const child = spawn(program, programArguments, {
      ...user,
      cwd: workingDirectory,
      env: environment,
      detached: true,
      stdio,
    })
    await once(child, 'spawn')
    return child
  } catch (cause) {
    const as = user ? ` as uid ${user.uid}` : ''
    throw new LatchkeyError('postgres_failed', {
      message: `${program} could not be run${as}. It needs glibc on Linux, and a gateway that is root needs the right to become that user.`,
      cause,
    })
  }
}
