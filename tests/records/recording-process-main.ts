// A process that spends money and can't record it: its recorder's way to the database leads nowhere. For tests that
// kill it.
import {
  type BudgetId,
  createLog,
  type DeploymentId,
  type EpochId,
  nanoUsd,
  Secret,
  type SocketConnection,
  systemClock,
  systemRandom,
} from '@latchkey/shared'
import { connectDatabase } from '@latchkey/shared/database'
import { BudgetEngine } from '../../gateway/src/budget/engine.ts'
import { BatchWriter } from '../../gateway/src/records/batch-writer.ts'
import { QueueRecorder } from '../../gateway/src/records/queue-recorder.ts'
import { RedisCopies } from '../../gateway/src/records/redis-copies.ts'
import { RefusalCounts } from '../../gateway/src/records/refusal-counts.ts'
import { Spool } from '../../gateway/src/records/spool.ts'
import { parseRedisUrl } from '../../gateway/src/redis-url.ts'
import { connectRedis } from '../../gateway/src/runtime/redis.ts'
import { record } from './record.ts'

/** What it is told to do. */
export interface RecordingTask {
  readonly connection: SocketConnection
  readonly redisUrl: string
  readonly deployment: DeploymentId
  readonly budget: BudgetId
  readonly records: number
  /** Of each record. */
  readonly cost: number
}

/** What it says once Redis has all of its copies. */
export interface RecordingReport {
  readonly epoch: EpochId
  readonly ids: readonly string[]
  readonly skipped: number
}

const task = JSON.parse(process.argv[2] ?? '') as RecordingTask
const log = createLog('silent')
const surroundings = { clock: systemClock, log }
const connect = (connection: SocketConnection) =>
  connectDatabase({
    connection,
    maxConnections: 2,
    statementTimeoutMs: 5_000,
    applicationName: 'latchkey-tests',
    log,
  })
const real = connect(task.connection)
const nowhere = connect({ ...task.connection, host: '/nowhere' })
const heartbeat = connect(task.connection)
const redis = connectRedis(
  parseRedisUrl(new Secret(task.redisUrl)),
  { authority: null, commandTimeoutMs: 1_000, connectionName: 'latchkey-tests' },
  log,
)
await redis.ready(5_000)
const engine = new BudgetEngine({
  pool: real.pool,
  heartbeatPool: heartbeat.pool,
  random: systemRandom,
  alone: false,
  ...surroundings,
})
await engine.start()
const copies = new RedisCopies({
  client: redis.client,
  deployment: task.deployment,
  epoch: () => engine.epoch,
  ...surroundings,
})
const recorder = new QueueRecorder({
  writer: new BatchWriter({ pool: nowhere.pool, ...surroundings }),
  refusals: new RefusalCounts({ pool: nowhere.pool, ...surroundings }),
  spool: new Spool({ directory: '/nowhere', maxBytes: 0, clock: systemClock, random: systemRandom, log }),
  copies,
  places: 10_000,
  ...surroundings,
})
const ids: string[] = []
for (let count = 0; count < task.records; count++) {
  const decision = await engine.hold([task.budget], nanoUsd(100n))
  if (decision.kind !== 'held') throw new Error(decision.kind)
  const cost = nanoUsd(BigInt(task.cost))
  const each = record({ cost, settlements: engine.settle(decision.hold, cost) })
  recorder.reserve()
  recorder.record(each)
  ids.push(each.id)
}
while (copies.unanswered > 0) await new Promise((resolve) => setImmediate(resolve))
const report: RecordingReport = { epoch: engine.epoch, ids, skipped: copies.skipped }
process.stdout.write(`${JSON.stringify(report)}\n`)
