import type { ColumnType, Generated } from 'kysely'
import type {
  BudgetId,
  DeploymentId,
  EpochId,
  GroupId,
  LeaseId,
  OrganizationId,
  ProviderKeyId,
  ProxyKeyId,
  RequestId,
  VaultProcessId,
} from '../ids.ts'
import type { NanoUsd } from '../money.ts'

/** The schema as queries see it; `migrations/` makes it. Times are `timestamptz`, read as `Date`. */
export interface Database {
  deployment: DeploymentTable
  organization: OrganizationTable
  change_counter: ChangeCounterTable
  ring_key: RingKeyTable
  ring_key_wrap: RingKeyWrapTable
  vault_process: VaultProcessTable
  provider_key: ProviderKeyTable
  proxy_key: ProxyKeyTable
  proxy_key_binding: ProxyKeyBindingTable
  request: RequestTable
  dead_letter: DeadLetterTable
  refusal: RefusalTable
  proxy_group: ProxyGroupTable
  budget: BudgetTable
  budget_window: BudgetWindowTable
  budget_crossing: BudgetCrossingTable
  process_epoch: ProcessEpochTable
  lease: LeaseTable
  price_override: PriceOverrideTable
  body_key: BodyKeyTable
  request_body: RequestBodyTable
}

/** A JSON column: parsed when read, a JSON text when written. */
type Json<Value> = ColumnType<Value, string, string>

/** One row: which deployment this database belongs to. Sealed data is bound to it. */
export interface DeploymentTable {
  id: DeploymentId
  created_at: Date
  /** Counted up by every change of the ring keys or of their wraps. */
  keyring_revision: Generated<bigint>
  /** Set while every process keeps its vault sealed. */
  sealed_at: Generated<Date | null>
  /** Which process replaces ring keys; it stays named until all of it is done. */
  rotating_process_id: Generated<VaultProcessId | null>
}

/** `locked-out`: its root key does not open the keyring as it is now; it goes on with what it had opened. */
export type VaultProcessState = 'open' | 'sealed' | 'locked-out'

/** The vault of one process, as it was when it was last seen. */
export interface VaultProcessTable {
  id: VaultProcessId
  /** As of which the process knows the ring keys. */
  keyring_revision: bigint
  /** The root key by which it opened them; null where it is sealed. */
  root_key_id: string | null
  state: VaultProcessState
  started_at: Date
  /** By the database's clock. */
  seen_at: ColumnType<Date, never, never>
}

export interface OrganizationTable {
  id: OrganizationId
  name: string
  created_at: Date
}

/**
 * One row, counted up in the transaction of every change that a cached snapshot could hide. Not a
 * sequence: sequence numbers become visible out of order, a row's value does not.
 */
export interface ChangeCounterTable {
  singleton: Generated<boolean>
  value: ColumnType<bigint, bigint, bigint>
}

export const ringPurposes = ['secret', 'pepper', 'audit', 'webhook', 'session'] as const
export type RingPurpose = (typeof ringPurposes)[number]

/** One version of one of the vault's data keys. Its bytes stand, wrapped, in `ring_key_wrap`. */
export interface RingKeyTable {
  purpose: RingPurpose
  version: number
  state: 'pending' | 'active' | 'retired'
  created_at: Date
}

/** A ring key sealed under one root key. `root_key_id` is a public fingerprint of that root key. */
export interface RingKeyWrapTable {
  purpose: RingPurpose
  version: number
  root_key_id: string
  envelope: Buffer
  created_at: Date
}

/** A provider's secret, sealed. Everything beside `envelope` that names its use is bound by the seal. */
export interface ProviderKeyTable {
  id: ProviderKeyId
  organization_id: OrganizationId
  name: string
  provider: string
  /** Canonical base URL with its version path, no trailing slash. */
  base_url: string
  envelope: Buffer
  /** Counts the secrets this row has held; part of what the seal binds. */
  secret_version: number
  /** Counts every write of the row; updates compare it. */
  revision: number
  /** The last four characters, for recognition; null where the secret is too short to show any. */
  masked_tail: string | null
  created_at: Date
  rotated_at: Date | null
  last_used_at: Date | null
  /** Rate limits of everything that is sent with it, whoever's request it is. */
  limits: ColumnType<readonly StoredLimit[], string | undefined, string>
}

/** What a proxy key may do, as stored. */
export interface StoredPolicy {
  /** Exact names or `prefix*`; null allows every model. */
  readonly models: readonly string[] | null
  /** Exact paths or `prefix*`; null allows what the models' rule allows. */
  readonly endpoints: readonly string[] | null
  /** CIDR blocks; null allows every address. */
  readonly allowIps: readonly string[] | null
  /** How often a request may be sent again before its first byte, to each provider key. */
  readonly retries: number
  /** Rate limits of the key itself, each kind once; none where it is empty. Its group's hold as well. */
  readonly limits: readonly StoredLimit[]
  /** Where a budget can't pay for the output that was asked for: refuse the request, or lower its cap. */
  readonly fit: BudgetFit
  /** Whether bodies of its requests are kept, sealed. Its group may say so as well. */
  readonly capture: boolean
}

export const budgetFits = ['refuse', 'clamp'] as const
export type BudgetFit = (typeof budgetFits)[number]

export interface ProxyKeyTable {
  id: ProxyKeyId
  organization_id: OrganizationId
  group_id: GroupId | null
  name: string
  /** Of whoever it was made for; nothing is decided by it. */
  email: string | null
  description: string
  tags: string[]
  policy: Json<StoredPolicy>
  status: 'active' | 'paused' | 'revoked'
  expires_at: Date | null
  /** HMAC of the token, compared before argon2 is thought of. */
  fingerprint: Buffer
  /** argon2id of the token's secret part. */
  verifier: Buffer
  verifier_salt: Buffer
  /** The version of the pepper ring key under which fingerprint, verifier and MAC were made. */
  pepper_version: number
  /** The secret before the last rotation, while its grace lasts. */
  previous_fingerprint: Buffer | null
  previous_verifier: Buffer | null
  previous_verifier_salt: Buffer | null
  previous_pepper_version: number | null
  previous_expires_at: Date | null
  /** MAC over every column that decides who may do what. Whoever edits the row without the pepper is denied. */
  row_mac: Buffer
  row_mac_pepper_version: number
  revision: number
  created_at: Date
  rotated_at: Date | null
  revoked_at: Date | null
  /** Whoever else may have it: its running requests were ended with it. */
  compromised_at: Generated<Date | null>
  last_used_at: Date | null
}

/** Which provider keys a proxy key uses, in the order in which they are tried. */
export interface ProxyKeyBindingTable {
  proxy_key_id: ProxyKeyId
  position: number
  provider_key_id: ProviderKeyId
}

/**
 * One row per proxied request of a known key. No foreign keys: a record outlives what it names. A partition for each
 * day in UTC, by the moment in its id, and one for what has none.
 */
export interface RequestTable {
  id: RequestId
  organization_id: OrganizationId
  proxy_key_id: ProxyKeyId
  proxy_key_name: string
  provider_key_id: ProviderKeyId | null
  provider: string | null
  method: string
  endpoint: string
  model: string | null
  response_model: string | null
  status: number
  /** The catalogue's code where the gateway refused or failed the request. */
  code: string | null
  attempts: number
  input_tokens: bigint | null
  cached_input_tokens: bigint | null
  output_tokens: bigint | null
  reasoning_tokens: bigint | null
  input_audio_tokens: bigint | null
  output_audio_tokens: bigint | null
  /** Usage was expected and not seen; the tokens are unknown. */
  usage_missing: boolean
  streamed: boolean
  disconnected: boolean
  /** The provider broke off after its answer had begun. */
  truncated: boolean
  request_bytes: bigint
  response_bytes: bigint
  time_to_first_byte_ms: number | null
  duration_ms: number
  client_ip: string
  user_id: string | null
  session_id: string | null
  properties: Json<Readonly<Record<string, string>>>
  started_at: Date
  /** The group that its key was in; null: none. */
  group_id: GroupId | null
  /** What it did cost; null where nothing says what it costs. */
  cost_nano: NanoUsd | null
  /** The most that its attempts could have cost together; null where no budget held for it. */
  held_nano: NanoUsd | null
  /** The cost is what was held: the provider's own figure did not come. */
  estimated: Generated<boolean>
  /** The version of the prices by which it was held and settled. */
  price_version: string | null
  /** Into which leases its cost settles. Amounts are decimal strings: JSON's numbers lose digits. */
  settlements: ColumnType<readonly StoredSettlement[], string | undefined, string>
  /**
   * The transaction that wrote the row, which Postgres fills in. Ids are minted when requests begin and
   * rows are written when they end, so only this orders records such that a follower misses none.
   */
  recorded_in: Generated<string>
}

/**
 * A record that Postgres would not take as it was. The row of `request` with its id has what could be saved of it,
 * and its money is settled.
 */
export interface DeadLetterTable {
  id: RequestId
  /** The row as it was to be written, JSON. */
  record: string
  /** SQLSTATE. */
  reason: string
  created_at: Date
}

/** Refused requests whose key is not known: a count per code and minute, so a flood adds no rows. */
export interface RefusalTable {
  minute: Date
  code: string
  count: ColumnType<bigint, bigint, bigint>
}

/** One rate limit. Tokens and requests refill over their period; concurrency counts what is in flight. */
export type StoredLimit =
  | {
      readonly unit: 'requests' | 'tokens'
      readonly per: 'minute' | 'hour' | 'day'
      readonly limit: number
    }
  | { readonly unit: 'concurrency'; readonly limit: number }

/** Proxy keys that share budgets and limits. */
export interface ProxyGroupTable {
  id: GroupId
  organization_id: OrganizationId
  name: string
  description: string
  status: 'active' | 'paused'
  limits: Json<readonly StoredLimit[]>
  /** Whether bodies of its keys' requests are kept. */
  capture: Generated<boolean>
  revision: number
  created_at: Date
}

export const scopeKinds = ['key', 'group', 'organization', 'provider_key'] as const
/** Whose money a budget counts. */
export type ScopeKind = (typeof scopeKinds)[number]

export const budgetPeriods = ['total', 'day', 'week', 'month'] as const
/** How long a window lasts: the calendar in UTC, weeks from Monday; `total` never ends. */
export type BudgetPeriod = (typeof budgetPeriods)[number]

export interface BudgetTable {
  id: BudgetId
  organization_id: OrganizationId
  scope_kind: ScopeKind
  scope_id: string
  period: BudgetPeriod
  limit_nano: NanoUsd
  /** `removed`: it limits nothing any more, and is shown nowhere; its windows explain what was spent. */
  status: 'active' | 'paused' | 'removed'
  /** Percentages of the limit whose crossing is noted, per window. */
  thresholds: number[]
  /** Counts every write of the row; updates compare it. */
  revision: number
  created_at: Date
  updated_at: Date
}

/** A budget in one stretch of time. Every row is written only by statements that have locked it. */
export interface BudgetWindowTable {
  /** Rows are locked in the order of their ids. */
  id: Generated<bigint>
  budget_id: BudgetId
  starts_at: Date
  /** Null for a budget's `total`. */
  ends_at: Date | null
  limit_nano: NanoUsd
  /** The limit, or what was out when it was lowered below that. */
  ceiling_nano: NanoUsd
  paused: boolean
  /** Costs of recorded requests, within their leases. */
  settled_nano: Generated<NanoUsd>
  /** What is outstanding on open leases. */
  leased_nano: Generated<NanoUsd>
  /** What is outstanding on leases of processes that are dead: it may have been spent. */
  unsettled_nano: Generated<NanoUsd>
  /** Costs beyond what was held or leased for them. */
  overage_nano: Generated<NanoUsd>
  /** Counts every write of the row, so figures that overtook each other can be put in order. */
  revision: Generated<bigint>
}

/** When a soft threshold of a window was first crossed. */
export interface BudgetCrossingTable {
  window_id: bigint
  percent: number
  crossed_at: Date
}

/** One run of one process. Its leases count as spent once it has ended without returning them. */
export interface ProcessEpochTable {
  id: EpochId
  /** Counted up by each heartbeat. */
  counter: bigint
  started_at: Date
  ended_at: Date | null
}

/** A part of a window's money that one process may spend without asking. */
export interface LeaseTable {
  id: LeaseId
  epoch_id: EpochId
  window_id: bigint
  /** All that was granted, less all that was returned. */
  granted_nano: NanoUsd
  /** What is granted and has not settled. */
  outstanding_nano: NanoUsd
  /** Counted up by each grant and return, which compare it. */
  version: bigint
  state: 'open' | 'returned' | 'swept' | 'released'
  swept_at: Date | null
}

/** What one attempt of a request settles into one lease: nano-dollars as decimal strings. */
export interface StoredSettlement {
  readonly window: string
  readonly lease: LeaseId
  /** The part of the cost that its hold covers. */
  readonly within: string
  /** The part beyond the hold. */
  readonly beyond: string
}

/** What a model costs, as an operator set it by the admin API. Provider and model `*`: models listed nowhere. */
export interface PriceOverrideTable {
  organization_id: OrganizationId
  provider: string
  model: string
  /** In the form of an entry of a file of prices; parsed again whenever it is read. */
  entry: Json<unknown>
  /** Counts every write of the row. */
  revision: number
  created_at: Date
  updated_at: Date
}

/** The key that seals the bodies of one day's requests, sealed itself. It goes with its day, and they with it. */
export interface BodyKeyTable {
  organization_id: OrganizationId
  /** Days since the Unix epoch, UTC, by the moments in the requests' ids. */
  day: number
  envelope: Buffer
  created_at: Date
}

export const bodyDirections = ['request', 'response'] as const
export type BodyDirection = (typeof bodyDirections)[number]

/** A captured body, sealed. A partition for each day, as `request` has. */
export interface RequestBodyTable {
  /** That of its request. */
  id: RequestId
  direction: BodyDirection
  organization_id: OrganizationId
  envelope: Buffer
}
