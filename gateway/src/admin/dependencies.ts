import type {
  Clock,
  Database,
  Log,
  ProviderKeyTestWire,
  RandomBytes,
  Secret,
  StatusWire,
} from '@latchkey/shared'
import type { BoundProviderKey, Vault } from '@latchkey/vault'
import type { Kysely } from 'kysely'
import type { PriceBook } from '../pricing/price-book.ts'

/** What the admin plane shows of the process that it runs in. */
export interface GatewayInfo {
  readonly version: string
  readonly pid: number
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** Where applications reach the data plane: an origin, without a path. */
  readonly dataUrl: string
  readonly draining: boolean
  readonly mode: StatusWire['mode']
  readonly records: StatusWire['records']
}

/** All that the admin plane works with. It opens nothing itself. */
export interface AdminDependencies {
  readonly vault: Vault
  readonly database: Kysely<Database>
  readonly prices: PriceBook
  /** Whoever sends it may do everything here. */
  readonly adminToken: Secret
  /** Whoever sends it may read the metrics; null: only who has the admin token. */
  readonly metricsToken: Secret | null
  /** All metrics of the process, and of those that serve on the same ports, in Prometheus's text format. */
  readonly metrics: () => Promise<string>
  /** The workers that serve on the same ports; null: this process serves alone there. */
  readonly workers: () => Promise<StatusWire['workers']>
  /** The host that the admin plane was told to listen on: a `Host` header may name it. */
  readonly adminHost: string
  /** After so long, no process still works on a request. Milliseconds. */
  readonly longestRequestMs: number
  readonly log: Log
  readonly clock: Clock
  readonly random: RandomBytes
  readonly info: () => GatewayInfo
  /** Sends one harmless request to the provider. Never throws for what the provider does. */
  readonly testProviderKey: (key: BoundProviderKey) => Promise<ProviderKeyTestWire>
}
