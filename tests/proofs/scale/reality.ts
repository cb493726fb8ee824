import { setTimeout as delay } from 'node:timers/promises'
import { type BudgetId, type RequestId, systemClock, systemRandom, uuidv7 } from '@latchkey/shared'
import type { BudgetEngine } from '../../../gateway/src/budget/engine.ts'
import { makeWindows } from '../../../gateway/src/budget/make-windows.ts'
import { addOrganization, type RecordedRequest, recordRequests } from '../../budget/books.ts'
import { arrivals, seededNumbers } from './random-numbers.ts'
import type { Scene } from './scene.ts'
import type { ScratchDatabase } from './scratch-database.ts'
import { simulate } from './simulate.ts'
import type { SimulatedRequest } from './simulated-request.ts'
import { Traffic } from './traffic.ts'

/** What can be compared of the two. */
export interface Counted {
  readonly requests: number
  readonly refused: number
  readonly statements: number
  readonly leases: number
  /** Granted, not held and not settled, in dollars. */
  readonly idleDollars: number
}

const flushMs = 100

/** What the scene comes to in the simulation, in its first seconds. */
export function countSimulated(scene: Scene, seed: number): Counted {
  const { start, steady, leases } = simulate(scene, seed)
  return {
    requests: start.requests + steady.requests,
    refused: steady.refusedByBudget,
    statements: steady.leaseStatements,
    leases: leases.count,
    idleDollars: Number(leases.spare) / 1e9,
  }
}

/** The same with real engines on a real Postgres: holds, waiting, settling and recording, without HTTP. */
export async function countReal(database: ScratchDatabase, scene: Scene, seed: number): Promise<Counted> {
  const { pool } = database.main
  const random = seededNumbers(seed)
  const limits = new Map<BudgetId, bigint>()
  const traffic = new Traffic(scene, { addBudget: (id, limit) => limits.set(id, limit) }, random)
  const requests = Array.from({ length: scene.requestsPerSecond * scene.seconds }, () => traffic.next())
  await addBudgets(database, limits)
  const engines = await Promise.all(Array.from({ length: scene.processes }, () => database.startEngine()))
  // The number of processes is learned with a heartbeat.
  while (engines.some((engine) => engine.processes < scene.processes)) await delay(flushMs)

  let [sent, refused] = [0, 0]
  const recording = new Map<BudgetEngine, RecordedRequest[]>()
  const run = async (engine: BudgetEngine, request: SimulatedRequest) => {
    const decision = await engine.hold(request.budgets, request.bound)
    if (decision.kind !== 'held') {
      refused++
      return
    }
    await delay(request.durationMs)
    const settlements = engine.settle(decision.hold, request.cost)
    const record = { id: uuidv7<RequestId>(systemClock, systemRandom), cost: request.cost, settlements }
    recording.set(engine, [...(recording.get(engine) ?? []), record])
  }
  const flush = async () => {
    for (const [engine, records] of recording) {
      recording.delete(engine)
      await recordRequests(pool, records)
    }
  }
  const began = performance.now()
  const running: Promise<void>[] = []
  let flushing = flush()
  let flushedAt = began
  for (let now = began; now - began < scene.seconds * 1000; now = performance.now()) {
    const due = Math.min(requests.length, ((now - began) / 1000) * scene.requestsPerSecond)
    for (; sent < due; sent++) {
      const [request, engine] = [requests[sent], engines[Math.floor(random() * engines.length)]]
      if (request !== undefined && engine !== undefined) running.push(run(engine, request))
    }
    if (now - flushedAt >= flushMs) {
      flushedAt = now
      flushing = flushing.then(flush)
    }
    await delay(arrivals(1, random))
  }
  const counted = engines.map((engine) => ({ ...engine.leased, statements: engine.statements }))
  const idle = engines.flatMap((engine) => [...limits.keys()].map((id) => engine.idle(id)))
  await Promise.all(running)
  await flushing
  return {
    requests: sent,
    refused,
    statements: counted.reduce((sum, { statements }) => sum + statements, 0),
    leases: counted.reduce((sum, { count }) => sum + count, 0),
    idleDollars: Number(idle.reduce((sum, each) => sum + each, 0n)) / 1e9,
  }
}

async function addBudgets({ main: { pool } }: ScratchDatabase, limits: ReadonlyMap<BudgetId, bigint>) {
  const organization = await addOrganization(pool)
  await pool.query(
    `INSERT INTO budget (id, organization_id, scope_kind, scope_id, period, limit_nano, status, thresholds, revision, created_at, updated_at)
     SELECT id, $1, 'key', id::text, 'total', limit_nano, 'active', '{}', 1, now(), now() FROM unnest($2::uuid[], $3::bigint[]) AS made (id, limit_nano)`,
    [organization, [...limits.keys()], [...limits.values()].map(String)],
  )
  await makeWindows(pool, [...limits.keys()])
}
