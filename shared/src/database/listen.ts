import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { errorFields, type Log } from '../log.ts'
import { clientConfig, type DatabaseConnection } from './connection.ts'

/** Hears what NOTIFY sends. */
export interface PostgresListener {
  /** Calls `heard` at every message, and whenever messages may have been missed. Reconnects by itself. */
  subscribe(channel: string, heard: () => void): { close(): Promise<void> }
}

const shortestPauseMs = 100
const longestPauseMs = 2000
// A machine that is gone does not answer goodbyes.
const goodbyeMs = 1000

/**
 * LISTEN on a Postgres connection of its own, which must be a direct one: a transaction pooler hands the
 * connection to somebody else and messages never come.
 */
export function postgresListener(connection: DatabaseConnection, log: Log): PostgresListener {
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
    const client = new Client({
      ...clientConfig(connection),
      connectionTimeoutMillis: 5000,
      // LISTEN is all that it asks; a server that does not answer would be waited for, and so would a shutdown.
      query_timeout: 5000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
    })
    // That the connection has ended, for whatever reason, or must.
    const { promise: lost, resolve } = Promise.withResolvers<void>()
    const lose = () => resolve()
    client.on('error', lose)
    client.on('end', lose)
    closing.addEventListener('abort', lose)
    try {
      await client.connect()
      client.on('notification', heard)
      await client.query(`LISTEN ${client.escapeIdentifier(channel)}`)
      pauseMs = shortestPauseMs
      heard()
      await lost
    } catch (error) {
      if (!closing.aborted) log.warn('database.listen_failed', errorFields(error))
    } finally {
      // Or each connection that there was would stay in memory until the end.
      closing.removeEventListener('abort', lose)
      await Promise.race([client.end().catch(() => undefined), sleep(goodbyeMs, undefined, { ref: false })])
    }
    await sleep(pauseMs, undefined, { signal: closing }).catch(() => undefined)
    pauseMs = Math.min(pauseMs * 2, longestPauseMs)
  }
}
