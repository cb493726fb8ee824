import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { plainAsk } from '../proofs/budgets/ask.ts'
import { Deployment } from '../proofs/budgets/deployment.ts'
import { Dice } from '../proofs/budgets/dice.ts'
import { runLoad } from '../proofs/budgets/load.ts'
import { Notes, plenty } from '../proofs/budgets/trial.ts'
import { patient } from './proof.ts'

const requests = 1_000
/** What is said to Postgres about leases and windows; heartbeats and records come whether or not there are holds. */
const forHolds = /execute (?:change-leases|read-open-leases|make-budget-windows|recall-leases):/g

test(
  'in the steady state fewer than one request in fifty touches Postgres for its hold, by its own log',
  patient,
  async () => {
    const deployment = await Deployment.start({ processes: 1, database: 'embedded', seed: 1 })
    onTestFinished(async () => {
      await deployment.discard()
    })
    const { pool } = deployment.ledger
    await pool.query(`ALTER SYSTEM SET log_statement = 'all'`)
    await pool.query('SELECT pg_reload_conf()')
    await deployment.limitOrganization(plenty)
    const group = await deployment.group('everyone', plenty)
    const key = await deployment.mint('alice', {
      total: plenty,
      others: { day: plenty, month: plenty },
      group,
    })
    const notes = new Notes()
    const send = () =>
      runLoad(deployment, notes, requests, new Dice(1), () => ({ ...plainAsk(key), latencyMs: 5 }))
    const statements = () =>
      readFileSync(join(deployment.dataDirectory, 'postgres.log'), 'utf8').match(forHolds)?.length ?? 0
    // Until leases have grown.
    await send()
    const before = statements()
    expect(before).toBeGreaterThan(0)
    await send()
    expect(notes.served).toHaveLength(2 * requests)
    expect(statements() - before).toBeLessThan(requests / 50)
  },
)
