import { LatchkeyError } from '../../errors.ts'
import { diskFull } from './filesystem-fault.ts'

export type Complaint =
  /** Processes of an earlier server have not let go of the directory yet. */
  | { readonly kind: 'in-use'; readonly error: LatchkeyError }
  | { readonly kind: 'fault'; readonly error: LatchkeyError }

/**
 * What initdb or postgres meant by `output`, which it printed before it gave up. The messages are
 * those of Postgres's sources in English (`lc_messages=C`): miscinit.c, sysv_shmem.c, username.c.
 * `where` is the file or directory that a person should look at.
 */
export function interpretOutput(program: string, output: string, where: string): Complaint {
  const cause = new Error(output.trim().split('\n').slice(-8).join('\n'))
  if (/No space left on device|Disk quota exceeded/.test(output))
    return { kind: 'fault', error: diskFull(where, cause) }

  const unreadable = /"([^"]+)"[^\n]*: Permission denied/.exec(output)?.[1]
  if (unreadable !== undefined)
    return {
      kind: 'fault',
      error: new LatchkeyError('directory_unreachable', {
        message: `${program} may not use ${unreadable}. It must be readable for the user that Postgres runs as.`,
        details: { path: unreadable },
        cause,
      }),
    }

  if (/could not look up effective user ID/.test(output))
    return {
      kind: 'fault',
      error: new LatchkeyError('postgres_failed', {
        message: `${program} needs its user to have a name, and the user id that it runs as has none on this machine. Add it to /etc/passwd, or start the gateway as another user.`,
        cause,
      }),
    }

  const reason = /(?:FATAL|PANIC|ERROR|error):\s+(.*)/.exec(output)?.[1]
  const error = new LatchkeyError('postgres_failed', {
    message: `${program} failed${reason === undefined ? '' : `: ${reason}`}. See ${where}.`,
    cause,
  })
  const inUse = /pre-existing shared memory block|lock file ".*" (?:already exists|is empty)/.test(output)
  return { kind: inUse ? 'in-use' : 'fault', error }
}
