import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { RandomBytes } from '../clock.ts'
import { clientConfig, type ServerConnection } from './connection.ts'

/** The oldest major version whose SQL is ours. */
export const leastPostgresMajor = 15

/** Whether a server is one that we can work with. */
export type ServerCheck =
  /** `version` is like `18.4`. */
  | { readonly kind: 'suitable'; readonly version: string }
  | { readonly kind: 'unsuitable'; readonly reason: string }

const connectDeadlineMs = 5_000
const answerDeadlineMs = 10_000
const hearDeadlineMs = 5_000

interface ServerFacts {
  readonly version: string
  readonly major: number
  readonly encoding: string
  readonly replica: boolean
  readonly timeZone: string
}

/**
 * Looks at the server's version, encoding and role, and whether our sessions there are our own. Changes nothing.
 * Throws what the driver throws where it can't be reached, or does not let us in.
 */
export async function checkServer(connection: ServerConnection, random: RandomBytes): Promise<ServerCheck> {
  const listening = newClient(connection)
  const speaking = newClient(connection)
  try {
    await Promise.all([listening.connect(), speaking.connect()])
    const facts = await readFacts(speaking)
    const reason = findFault(facts)
    if (reason !== null) return { kind: 'unsuitable', reason }
    return (await ownSessions(listening, speaking, random))
      ? { kind: 'suitable', version: facts.version }
      : pooled
  } catch (error) {
    if (isStartupRefusal(error)) return pooled
    throw error
  } finally {
    // Not awaited: a server that is stuck does not say goodbye either.
    for (const client of [listening, speaking]) void client.end().catch(() => undefined)
  }
}

const pooled: ServerCheck = {
  kind: 'unsuitable',
  reason:
    'It leads through a pooler that gives a session to somebody else between two statements (a transaction pooler, like PgBouncer with pool_mode=transaction). Name the server itself, or a pooler that pools sessions: LISTEN and locks belong to a session.',
}

function newClient(connection: ServerConnection): pg.Client {
  const client = new pg.Client({
    ...clientConfig(connection),
    connectionTimeoutMillis: connectDeadlineMs,
    query_timeout: answerDeadlineMs,
    // The pool asks for these as well, and poolers refuse what they don't keep.
    statement_timeout: answerDeadlineMs,
    idle_in_transaction_session_timeout: answerDeadlineMs,
    options: '-c TimeZone=UTC',
    application_name: 'latchkey-check',
  })
  // Whoever waits on it is told by the query; this keeps its death from ending the process.
  client.on('error', () => undefined)
  return client
}

async function readFacts(client: pg.Client): Promise<ServerFacts> {
  const { rows } = await client.query<ServerFacts>(`SELECT
    split_part(current_setting('server_version'), ' ', 1) AS version,
    current_setting('server_version_num')::int / 10000 AS major,
    current_setting('server_encoding') AS encoding,
    pg_is_in_recovery() AS replica,
    current_setting('TimeZone') AS "timeZone"`)
  const [facts] = rows
  if (facts === undefined) throw new Error('Postgres answered without a row')
  return facts
}

function findFault({ version, major, encoding, replica, timeZone }: ServerFacts): string | null {
  if (major < leastPostgresMajor)
    return `It is PostgreSQL ${version}, and Latchkey needs ${leastPostgresMajor} or newer.`
  if (replica) return 'It is a replica, which can only be read. Name the primary.'
  if (encoding !== 'UTF8') return `Its encoding is ${encoding}. Make one with ENCODING 'UTF8'.`
  if (timeZone !== 'UTC')
    return 'A pooler is in between that drops the settings of our sessions. Let it pass "options", or name the server itself.'
  return null
}

/**
 * Whether each of two connections has a session of its own that hears NOTIFY while it rests. Behind a transaction
 * pooler, two that rest in turn share one server process, or change it, and none hears anything: the pooler drops
 * what a server says while no client is attached. One who asked the resting session would wake it, so nobody asks.
 */
async function ownSessions(listening: pg.Client, speaking: pg.Client, random: RandomBytes): Promise<boolean> {
  const channel = `latchkey_check_${Buffer.from(random(8)).toString('hex')}`
  const before = await backendOf(listening)
  await listening.query(`LISTEN ${channel}`)
  await speaking.query('BEGIN')
  if ((await backendOf(speaking)) === before || (await backendOf(listening)) !== before) return false
  const given = new AbortController()
  const heard = once(listening, 'notification', { signal: given.signal }).then(
    () => true,
    () => false,
  )
  await speaking.query(`NOTIFY ${channel}`)
  await speaking.query('COMMIT')
  const late = sleep(hearDeadlineMs, false, { signal: given.signal }).catch(() => false)
  const heardInTime = await Promise.race([heard, late])
  given.abort()
  return heardInTime
}

async function backendOf(client: pg.Client): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  return rows[0]?.pid
}

/** Poolers refuse settings that a session would keep: a protocol violation, before anything was asked. */
function isStartupRefusal(error: unknown): boolean {
  return (
    error instanceof pg.DatabaseError && error.code === '08P01' && /startup parameter/.test(error.message)
  )
}
