import type { NanoUsd, StatusWire } from '@latchkey/shared'
import type { BodyFigures } from '../capture/body-queue.ts'
import { counter, type Family, gauge } from './exposition.ts'

/** What the parts of a gateway tell of themselves when they are asked. What a gateway doesn't have is null. */
export interface GatewayFigures {
  readonly version: string
  readonly mode: StatusWire['mode']
  readonly sealed: boolean
  readonly draining: boolean
  readonly inFlight: number
  readonly bufferedBytes: number
  readonly argon2Runs: number
  readonly records: StatusWire['records']
  readonly bodies: BodyFigures
  readonly leases: LeaseFigures
  readonly limiter: LimiterFigures | null
  readonly traces: TraceFigures | null
  readonly database: PoolFigures
}

export interface LeaseFigures {
  readonly count: number
  /** What the database has leased to this process and not yet seen settled. */
  readonly outstanding: NanoUsd
  /** What requests in flight hold of it. */
  readonly held: NanoUsd
  /** Statements for grants and returns. */
  readonly statements: number
}

export interface LimiterFigures {
  /** Outages of the shared store. */
  readonly fallbacks: number
  /** Requests that this process decided by itself meanwhile. */
  readonly decidedLocally: number
}

export interface TraceFigures {
  readonly exported: number
  readonly dropped: number
  readonly queued: number
}

export interface PoolFigures {
  readonly totalCount: number
  readonly idleCount: number
  readonly waitingCount: number
}

/** The state of one process. */
export function gatewayFamilies(figures: GatewayFigures): readonly Family[] {
  const { version, mode, limiter, traces } = figures
  return [
    {
      kind: 'gauge',
      name: 'latchkey_build_info',
      help: 'Always 1: which version runs, and on whose Postgres.',
      workers: 'most',
      samples: [{ labels: { version, mode }, value: 1 }],
    },
    gauge('latchkey_vault_sealed', '1 while the vault is sealed.', Number(figures.sealed), 'most'),
    gauge('latchkey_draining', '1 while the process shuts down.', Number(figures.draining), 'most'),
    gauge(
      'latchkey_requests_in_flight',
      'Requests whose answer is not yet read to its end.',
      figures.inFlight,
    ),
    gauge('latchkey_buffered_bytes', 'Bytes of request bodies in memory.', figures.bufferedBytes),
    counter('latchkey_argon2_runs_total', 'Runs of argon2id, each 20 ms of a core.', figures.argon2Runs),
    ...recordFamilies(figures.records),
    ...bodyFamilies(figures.bodies),
    ...leaseFamilies(figures.leases),
    ...databaseFamilies(figures.database),
    ...(limiter === null ? [] : limiterFamilies(limiter)),
    ...(traces === null ? [] : traceFamilies(traces)),
  ]
}

function recordFamilies(records: StatusWire['records']): readonly Family[] {
  return [
    gauge(
      'latchkey_record_places_taken',
      'Places for records that are taken, by requests in flight and by records that wait.',
      records.taken,
    ),
    gauge(
      'latchkey_record_places',
      'All places for records: when they are taken, requests are refused.',
      records.places,
    ),
    gauge('latchkey_record_queue_depth', 'Records that wait in memory to be written.', records.queued),
    gauge('latchkey_record_spool_rows', 'Records that wait in the spool on disk.', records.spooled),
    gauge('latchkey_record_spool_bytes', 'Bytes of the spool on disk.', records.spooledBytes),
    counter('latchkey_records_dropped_total', 'Records of refusals that found no place.', records.dropped),
    counter('latchkey_records_dead_total', 'Records that Postgres took in part only.', records.deadLetters),
    counter('latchkey_records_lost_total', 'Records of which nothing could be kept.', records.lost),
    counter(
      'latchkey_records_not_copied_total',
      'Records that have no copy in Redis, because it was away.',
      records.notCopied,
    ),
    counter(
      'latchkey_records_taken_over_total',
      'Records of dead processes that this one found in Redis.',
      records.takenOver,
    ),
  ]
}

function bodyFamilies(bodies: BodyFigures): readonly Family[] {
  return [
    counter('latchkey_bodies_kept_total', 'Bodies that were captured, sealed and written.', bodies.kept),
    counter(
      'latchkey_bodies_skipped_total',
      'Bodies that were not captured, for want of memory.',
      bodies.skipped,
    ),
    counter(
      'latchkey_bodies_lost_total',
      'Captured bodies that were not written: the vault was sealed, or the database away to the end.',
      bodies.lost,
    ),
    gauge(
      'latchkey_bodies_held_bytes',
      'Bytes of captured bodies in memory, being gathered or waiting to be written.',
      bodies.heldBytes,
    ),
  ]
}

function leaseFamilies(leases: LeaseFigures): readonly Family[] {
  return [
    gauge('latchkey_leases', 'Leases of budgets that this process has.', leases.count),
    gauge(
      'latchkey_leases_outstanding_usd',
      'What is leased to this process and not yet settled, in dollars.',
      dollars(leases.outstanding),
    ),
    gauge(
      'latchkey_leases_held_usd',
      'What requests in flight hold of leases, in dollars.',
      dollars(leases.held),
    ),
    counter(
      'latchkey_lease_statements_total',
      'Statements sent to Postgres for grants and returns of leases.',
      leases.statements,
    ),
  ]
}

function limiterFamilies({ fallbacks, decidedLocally }: LimiterFigures): readonly Family[] {
  return [
    counter('latchkey_limiter_fallbacks_total', 'Outages of Redis at which limits went local.', fallbacks),
    counter(
      'latchkey_limiter_local_decisions_total',
      'Requests whose limits this process decided by itself during an outage.',
      decidedLocally,
    ),
  ]
}

function databaseFamilies({ totalCount, idleCount, waitingCount }: PoolFigures): readonly Family[] {
  return [
    {
      kind: 'gauge',
      name: 'latchkey_database_connections',
      help: 'Connections of the pool.',
      samples: [
        { labels: { state: 'busy' }, value: totalCount - idleCount },
        { labels: { state: 'idle' }, value: idleCount },
      ],
    },
    gauge('latchkey_database_waiting', 'Statements that wait for a connection.', waitingCount),
  ]
}

function traceFamilies({ exported, dropped, queued }: TraceFigures): readonly Family[] {
  return [
    counter('latchkey_spans_exported_total', 'Spans that the collector has taken.', exported),
    counter('latchkey_spans_dropped_total', 'Spans that found no place or were not taken.', dropped),
    gauge('latchkey_spans_queued', 'Spans that wait for their export.', queued),
  ]
}

/** For graphs: the books are elsewhere. */
function dollars(amount: NanoUsd): number {
  return Number(amount) / 1e9
}
