import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Surroundings, Trial } from '../budgets/trial.ts'
import { type Fault, underLoad, type World } from './fault.ts'

/** Pools connect anew, and the heartbeat comes every 5 s. */
const backWithinMs = 15_000
/** So long leases and what is known of keys last; after that, whoever can't be paid for is told so. */
const outlastedMs = 20_000

/** Scenario 2: whatever becomes of Postgres, nobody is refused for as long as leases last, and nothing is lost. */
export async function postgres(surroundings: Surroundings): Promise<readonly Trial[]> {
  const faults = postgresFaults(surroundings)
  return [await underLoad(surroundings, { name: 'Postgres fails in every way', faults })]
}

export function postgresFaults({ size }: Surroundings): readonly Fault[] {
  const full = size === 'full'
  const lastsMs = full ? 5_000 : 700
  const downMs = full ? 30_000 : 1_500
  const fault = (name: string, strike: Fault['strike'], refusals: readonly string[] = []): Fault => ({
    name,
    refusals,
    backWithinMs,
    strike,
  })
  const faults = [
    fault('Postgres restarts', async ({ deployment }) => {
      await deployment.postgres.stop()
      await deployment.postgres.start()
    }),
    fault(
      `Postgres is down for ${downMs / 1000} s`,
      async ({ deployment }) => {
        await deployment.postgres.stop()
        await sleep(downMs)
        await deployment.postgres.start()
      },
      downMs > outlastedMs ? ['budget_unavailable', 'database_unavailable'] : [],
    ),
    fault('Postgres can only be read', (world) => readOnly(world, lastsMs)),
    fault('Postgres has no connection left', (world) => exhaust(world, lastsMs)),
    fault('somebody holds locks on what gateways write', (world) => lock(world, lastsMs)),
    fault('commits are slow', async ({ deployment }) => {
      deployment.toPostgres.delay(150)
      await sleep(lastsMs)
      deployment.toPostgres.delay(0)
    }),
    fault('the connections that listen are cut', cutListeners),
    fault('every connection to Postgres is reset', async ({ deployment }) => deployment.toPostgres.cut()),
    fault('Postgres does not answer', async ({ deployment }) => {
      deployment.toPostgres.pause()
      await sleep(lastsMs)
      deployment.toPostgres.resume()
    }),
  ]
  return faults
}

/** As on a replica that was promoted by nobody: sessions that are there and new ones can write nothing. */
async function readOnly({ deployment }: World, lastsMs: number): Promise<void> {
  const client = await deployment.ledger.pool.connect()
  try {
    await client.query('SET default_transaction_read_only = off')
    await client.query('ALTER SYSTEM SET default_transaction_read_only = on')
    await client.query('SELECT pg_reload_conf()')
    await sleep(lastsMs)
    await client.query('ALTER SYSTEM RESET default_transaction_read_only')
    await client.query('SELECT pg_reload_conf()')
    await client.query('RESET default_transaction_read_only')
  } finally {
    client.release()
  }
}

/** Takes every connection that Postgres has, those of the gateways as well, and lets go of them. */
async function exhaust({ deployment }: World, lastsMs: number): Promise<void> {
  const { pool } = deployment.ledger
  const hogs: pg.Client[] = []
  const takeAll = async () => {
    for (;;) {
      const hog = new pg.Client({ ...pool.options, application_name: 'hog' })
      hog.on('error', () => undefined)
      try {
        await hog.connect()
      } catch {
        return
      }
      hogs.push(hog)
    }
  }
  try {
    await takeAll()
    const until = performance.now() + lastsMs
    while (performance.now() < until) {
      await pool.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'latchkey%'
        AND pid <> pg_backend_pid() AND application_name <> 'latchkey-proof'`)
      await takeAll()
      await sleep(100)
    }
  } finally {
    await Promise.all(hogs.map((hog) => hog.end()))
  }
}

/** An operator's transaction that was forgotten: records can't be inserted, and no lease granted. */
async function lock({ deployment }: World, lastsMs: number): Promise<void> {
  const client = await deployment.ledger.pool.connect()
  try {
    await client.query('BEGIN')
    await client.query('LOCK TABLE request, budget_window, lease IN EXCLUSIVE MODE')
    await sleep(lastsMs)
    await client.query('COMMIT')
  } finally {
    client.release()
  }
}

/** The gateways hear of changes by the counter that they poll, and listen again by themselves. */
async function cutListeners({ deployment, notes, surroundings }: World): Promise<void> {
  const { pool } = deployment.ledger
  const listening = `FROM pg_stat_activity WHERE query ILIKE 'listen%'`
  const { rows } = await pool.query<{ cut: boolean }>(`SELECT pg_terminate_backend(pid) AS cut ${listening}`)
  notes.expect(rows.length === surroundings.processes, `${rows.length} connections were listening`)
  await deployment.until(
    'every gateway listens again',
    async () => (await pool.query(`SELECT pid ${listening}`)).rowCount === surroundings.processes,
    backWithinMs,
  )
}
