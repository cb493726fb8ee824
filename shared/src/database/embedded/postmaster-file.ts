import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '../../error-code.ts'

/** What `postmaster.pid` says about the server that runs, or ran, on a cluster. */
export interface PostmasterFile {
  readonly pid: number
  /** Whether connections are accepted, as of when the server last wrote the file. */
  readonly ready: boolean
}

export type PostmasterFileState =
  | { readonly kind: 'absent' }
  /** Its writer was killed, or is writing at this moment. */
  | { readonly kind: 'unreadable' }
  | { readonly kind: 'present'; readonly file: PostmasterFile }

export function postmasterFilePath(cluster: string): string {
  return join(cluster, 'postmaster.pid')
}

// One fact a line; pidfile.h of Postgres's sources.
const pidLine = 0
const statusLine = 7

export function readPostmasterFile(cluster: string): PostmasterFileState {
  let text: string
  try {
    text = readFileSync(postmasterFilePath(cluster), 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { kind: 'absent' }
    throw error
  }
  const lines = text.split('\n')
  const pid = Number(lines[pidLine])
  if (!Number.isSafeInteger(pid) || pid <= 1) return { kind: 'unreadable' }
  return { kind: 'present', file: { pid, ready: lines[statusLine]?.trim() === 'ready' } }
}
