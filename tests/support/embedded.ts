import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { lockDataDirectory, type SocketConnection, systemClock } from '@latchkey/shared'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@latchkey/shared/database'
import pg from 'pg'
import { onTestFinished } from 'vitest'
import { type RecordedLog, recordLog } from './recorded-log.ts'

export interface OpenEmbedded {
  readonly postgres: EmbeddedPostgres
  readonly connection: SocketConnection
  /** Stops Postgres and frees the directory; happens at the end of the test in any case. */
  close(): Promise<void>
}

/** Locks `directory` and starts its Postgres in this process. */
export async function openEmbedded(directory: string, log: RecordedLog = recordLog()): Promise<OpenEmbedded> {
  const lock = lockDataDirectory(directory)
  const postgres = await startEmbeddedPostgres({ lock, clock: systemClock, log }).catch((error: unknown) => {
    lock.release()
    throw error
  })
  const close = async () => {
    await postgres.stop()
    lock.release()
  }
  onTestFinished(close)
  return { postgres, connection: postgres.connection, close }
}

/**
 * Puts a copy of the cluster of the data directory `template`, which must be closed, into the new
 * data directory `directory`: initdb takes a second, a copy a tenth of that.
 */
export function copyCluster(template: string, directory: string): void {
  mkdirSync(directory, { recursive: true })
  execFileSync('cp', ['-a', join(template, 'postgres'), join(directory, 'postgres')])
}

/** Runs one statement on a connection of its own; the first column of its rows. */
export async function queryColumn(connection: SocketConnection, sql: string): Promise<readonly unknown[]> {
  const client = new pg.Client({ ...connection, ssl: false })
  client.on('error', () => undefined)
  await client.connect()
  try {
    const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' })
    return rows.map((row) => row[0])
  } finally {
    await client.end()
  }
}

/** Whether a process exists and has not ended: one that waits to be reaped has. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  if (process.platform !== 'linux') return true
  // Its state follows the name, which is in parentheses: proc_pid_stat(5).
  const state = /\) (\w)/.exec(readStat(pid))?.[1]
  return state !== undefined && state !== 'Z'
}

function readStat(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return ''
  }
}
