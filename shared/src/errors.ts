/** Where a fault can be met: by an application, by an operator, or when the gateway starts. */
export type Plane = 'data' | 'admin' | 'start'

export interface Fault {
  readonly planes: readonly Plane[]
  /** HTTP status; for `start` faults, the exit code of the process. */
  readonly status: number
  /** The `type` of OpenAI's error object, by which its SDKs' users branch. */
  readonly type: string
  /** Whether the same request may succeed later without anybody changing anything. */
  readonly retryable: boolean
  /** Said to whoever is at the other end. Never holds what they sent. */
  readonly message: string
}

const data = ['data'] as const
const admin = ['admin'] as const
const both = ['data', 'admin'] as const
const start = ['start'] as const

function fault(
  planes: readonly Plane[],
  status: number,
  type: string,
  retryable: boolean,
  message: string,
): Fault {
  return { planes, status, type, retryable, message }
}

/**
 * Every fault that Latchkey can report, in one place. `docs/errors.md` is tested against it, both
 * ways. What went wrong inside goes into `cause`, for the log; it is never shown.
 */
export const catalogue = {
  missing_api_key: fault(
    data,
    401,
    'authentication_error',
    false,
    'No API key was sent. Send your proxy key as "Authorization: Bearer lk_…".',
  ),
  invalid_api_key: fault(data, 401, 'authentication_error', false, 'The API key is not valid.'),
  expired_api_key: fault(data, 401, 'authentication_error', false, 'This API key has expired.'),
  revoked_api_key: fault(data, 401, 'authentication_error', false, 'This API key has been revoked.'),
  paused_api_key: fault(
    data,
    401,
    'authentication_error',
    false,
    'This API key is paused. Ask whoever gave it to you.',
  ),
  ip_not_allowed: fault(
    data,
    403,
    'permission_error',
    false,
    'This API key may not be used from your IP address.',
  ),
  endpoint_not_allowed: fault(
    data,
    403,
    'permission_error',
    false,
    'This API key may not call this endpoint.',
  ),
  model_not_allowed: fault(data, 403, 'permission_error', false, 'This API key may not use this model.'),
  permission_denied: fault(both, 403, 'permission_error', false, 'This is not permitted.'),
  invalid_json: fault(both, 400, 'invalid_request_error', false, 'The body is not valid JSON.'),
  invalid_request: fault(both, 400, 'invalid_request_error', false, 'The request is not valid.'),
  request_timeout: fault(
    data,
    408,
    'invalid_request_error',
    true,
    'The body of the request did not arrive in time.',
  ),
  unpriced_model: fault(
    data,
    400,
    'invalid_request_error',
    false,
    'No price is known for this model, and this API key has a budget.',
  ),
  unsupported_parameter: fault(
    data,
    400,
    'invalid_request_error',
    false,
    'A parameter is not supported here.',
  ),
  rate_limit_exceeded: fault(
    data,
    429,
    'rate_limit_error',
    true,
    'A rate limit of this API key is reached. Try again after the time in the Retry-After header.',
  ),
  insufficient_quota: fault(
    data,
    429,
    'insufficient_quota',
    false,
    'What is left of the budget of this API key can’t pay for this request.',
  ),
  budget_in_flight: fault(
    data,
    429,
    'rate_limit_error',
    true,
    'Other requests in flight hold what is left of the budget of this API key. Try again shortly.',
  ),
  budget_unavailable: fault(
    data,
    503,
    'api_error',
    true,
    'The gateway can’t reach the books of its budgets. Try again shortly.',
  ),
  body_too_large: fault(both, 413, 'invalid_request_error', false, 'The body is too large.'),
  headers_too_large: fault(data, 431, 'invalid_request_error', false, 'The headers are too large.'),
  unsupported_media_type: fault(
    both,
    415,
    'invalid_request_error',
    false,
    'The content type is not supported here.',
  ),
  not_found: fault(
    both,
    404,
    'invalid_request_error',
    false,
    'Nothing is here. Point baseURL at the gateway followed by /v1.',
  ),
  loop_detected: fault(
    data,
    508,
    'api_error',
    false,
    'The gateway was reached through itself: a provider key points back at it.',
  ),
  upstream_unreachable: fault(data, 502, 'api_error', true, 'The provider could not be reached.'),
  upstream_timeout: fault(data, 504, 'api_error', true, 'The provider did not answer in time.'),
  vault_sealed: fault(both, 503, 'api_error', true, 'The vault is sealed. An operator must unseal it.'),
  overloaded: fault(both, 503, 'api_error', true, 'The gateway is overloaded. Try again shortly.'),
  draining: fault(data, 503, 'api_error', true, 'The gateway is shutting down. Try again shortly.'),
  database_unavailable: fault(
    both,
    503,
    'api_error',
    true,
    'The gateway cannot reach its database. Try again shortly.',
  ),
  internal_error: fault(
    both,
    500,
    'api_error',
    true,
    'The gateway failed inside. Its log has the details under this request id.',
  ),

  invalid_admin_token: fault(
    admin,
    401,
    'authentication_error',
    false,
    'The admin token is missing or not valid.',
  ),
  method_not_allowed: fault(
    admin,
    405,
    'invalid_request_error',
    false,
    'This method does nothing here. The Allow header lists those that do.',
  ),
  name_taken: fault(admin, 409, 'invalid_request_error', false, 'The name is in use.'),
  provider_key_in_use: fault(
    admin,
    409,
    'invalid_request_error',
    false,
    'Proxy keys are bound to this provider key.',
  ),
  budget_exists: fault(
    admin,
    409,
    'invalid_request_error',
    false,
    'This scope has a budget of this period already. Change that one.',
  ),
  conflict: fault(
    admin,
    409,
    'invalid_request_error',
    true,
    'Somebody else changed this at the same moment. Look again and retry.',
  ),

  invalid_config: fault(start, 78, 'config', false, 'A setting is not valid.'),
  directory_locked: fault(start, 75, 'config', false, 'Another gateway runs on this data directory.'),
  directory_unreachable: fault(start, 77, 'config', false, 'A directory cannot be used.'),
  disk_full: fault(start, 74, 'config', true, 'The disk is full.'),
  port_in_use: fault(start, 75, 'config', false, 'The port is in use.'),
  root_key_missing: fault(
    start,
    78,
    'config',
    false,
    'The vault has a keyring, but the root key that opens it is not there.',
  ),
  root_key_wrong: fault(start, 78, 'config', false, 'The root key does not open the keyring of this vault.'),
  keyring_damaged: fault(
    start,
    78,
    'config',
    false,
    'The keyring of this vault is incomplete or damaged. Restore it from a backup.',
  ),
  root_key_invalid: fault(start, 78, 'config', false, 'The root key cannot be used.'),
  database_unreachable: fault(
    start,
    69,
    'config',
    true,
    'The database of DATABASE_URL cannot be reached, or does not let the gateway in.',
  ),
  database_unsuitable: fault(
    start,
    78,
    'config',
    false,
    'The database of DATABASE_URL is not one that Latchkey can work with.',
  ),
  postgres_version: fault(
    start,
    78,
    'config',
    false,
    'The data directory belongs to another major version of Postgres.',
  ),
  postgres_failed: fault(start, 70, 'config', false, 'The embedded Postgres did not start.'),
  database_newer: fault(
    start,
    78,
    'config',
    false,
    'The database was migrated by a newer version of Latchkey.',
  ),
  migration_failed: fault(start, 70, 'config', false, 'A database migration failed. Nothing of it was kept.'),
} as const satisfies Record<string, Fault>

export type ErrorCode = keyof typeof catalogue

export interface ErrorOptions {
  /** Replaces the catalogue's message where more can be said, without echoing secrets or input. */
  readonly message?: string
  /** The name of the field that is at fault. */
  readonly param?: string
  readonly details?: Readonly<Record<string, string | number | boolean | null>>
  readonly cause?: unknown
}

/** A fault of the catalogue, thrown where it was not an expected outcome. */
export class LatchkeyError extends Error {
  override readonly name = 'LatchkeyError'
  readonly code: ErrorCode
  readonly param: string | null
  readonly details: Readonly<Record<string, string | number | boolean | null>> | undefined

  constructor(code: ErrorCode, options: ErrorOptions = {}) {
    super(options.message ?? catalogue[code].message, { cause: options.cause })
    this.code = code
    this.param = options.param ?? null
    this.details = options.details
  }

  get fault(): Fault {
    return catalogue[this.code]
  }
}
