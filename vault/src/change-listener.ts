import { type DatabaseConnection, errorFields, type Log, Secret } from '@latchkey/shared'
import { Client, type ClientConfig } from 'pg'

/** Hears NOTIFY. Belongs to the change feed, which polls as well: a lost message costs time, not truth. */
export interface ChangeListener {
  /** Calls `heard` at every message, and whenever messages may have been missed. Reconnects by itself. */
  subscribe(channel: string, heard: () => void): { close(): Promise<void> }
}

const shortestPauseMs = 100
const longestPauseMs = 2000

/**
 * LISTEN on a Postgres connection of its own, which must be a direct one: a transaction pooler hands the
 * connection to somebody else and messages never come.
 */
export function postgresListener(connection: DatabaseConnection, log: Log): ChangeListener {
  return {
    subscribe: (channel, heard) => {
      const closing = new AbortController()
      const done = listenUntil(closing.signal, connection, channel, heard, log)
      return {
        close: async () => {
          closing.abort()
          await done
        },
      }
    },
  }
}

async function listenUntil(
  closing: AbortSignal,
  connection: DatabaseConnection,
  channel: string,
  heard: () => void,
  log: Log,
): Promise<void> {
  let pauseMs = shortestPauseMs
  while (!closing.aborted) {
    const client = new Client({ ...configOf(connection), connectionTimeoutMillis: 5000, keepAlive: true })
    const lost = brokenOr(closing, client)
    try {
      await client.connect()
      client.on('notification', heard)
      await client.query(`LISTEN ${client.escapeIdentifier(channel)}`)
      pauseMs = shortestPauseMs
      heard()
      await lost
    } catch (error) {
      if (!closing.aborted) log.warn('changes.listen_failed', errorFields(error))
    } finally {
      await client.end().catch(() => undefined)
    }
    if (!closing.aborted) await pause(pauseMs, closing)
    pauseMs = Math.min(pauseMs * 2, longestPauseMs)
  }
}

/** Resolves when the connection has ended, for whatever reason, or must. */
function brokenOr(closing: AbortSignal, client: Client): Promise<void> {
  return new Promise((resolve) => {
    client.on('error', () => resolve())
    client.on('end', () => resolve())
    closing.addEventListener('abort', () => resolve(), { once: true })
  })
}

function pause(milliseconds: number, closing: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds)
    closing.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      { once: true },
    )
  })
}

function configOf(connection: DatabaseConnection): ClientConfig {
  if (connection instanceof Secret) return { connectionString: connection.reveal() }
  // PGSSLMODE in the environment must not ask the socket for TLS.
  return { ...connection, ssl: false }
}
