import type { Clock, Database, Log, ProviderKeyTestWire, Secret } from '@latchkey/shared'
import type { BoundProviderKey, Vault } from '@latchkey/vault'
import type { Kysely } from 'kysely'

/** What the admin plane shows of the process that it runs in. */
export interface GatewayInfo {
  readonly version: string
  readonly pid: number
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** Where applications reach the data plane: an origin, without a path. */
  readonly dataUrl: string
  readonly draining: boolean
}

/** All that the admin plane works with. It opens nothing itself. */
export interface AdminDependencies {
  readonly vault: Vault
  readonly database: Kysely<Database>
  /** Whoever sends it may do everything here. */
  readonly adminToken: Secret
  /** The host that the admin plane was told to listen on: a `Host` header may name it. */
  readonly adminHost: string
  readonly log: Log
  readonly clock: Clock
  readonly info: () => GatewayInfo
  /** Sends one harmless request to the provider. Never throws for what the provider does. */
  readonly testProviderKey: (key: BoundProviderKey) => Promise<ProviderKeyTestWire>
}
