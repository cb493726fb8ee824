import { closeSync, fstatSync, openSync, readSync, renameSync, statSync } from 'node:fs'

/** The file that Postgres prints to, opened for one run of it. */
export interface ServerLog {
  /** To be handed to the child process, then closed. */
  readonly descriptor: number
  /** Where this run begins in the file, in bytes. */
  readonly offset: number
}

const rotateAtBytes = 1024 * 1024
const tailBytes = 8 * 1024

/** Opens the log for appending. One that has grown over 1 MiB becomes `<file>.1` first. */
export function openServerLog(file: string): ServerLog {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (size > rotateAtBytes) renameSync(file, `${file}.1`)
  const descriptor = openSync(file, 'a', 0o600)
  return { descriptor, offset: fstatSync(descriptor).size }
}

/** What was printed since `offset`, or the last 8 KiB of it. */
export function readServerLog(file: string, offset: number): string {
  const descriptor = openSync(file, 'r')
  try {
    const end = fstatSync(descriptor).size
    const from = Math.max(offset, end - tailBytes)
    const buffer = Buffer.alloc(Math.max(0, end - from))
    const length = readSync(descriptor, buffer, 0, buffer.length, from)
    return buffer.toString('utf8', 0, length)
  } finally {
    closeSync(descriptor)
  }
}
