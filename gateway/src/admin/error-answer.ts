import {
  type ErrorCode,
  type ErrorWire,
  errorFields,
  isConnectionFault,
  LatchkeyError,
  type Log,
} from '@latchkey/shared'

/**
 * The answer to a request that failed, in the admin API's shape. What is no fault of the catalogue is
 * logged, and shown as `internal_error`.
 */
export function errorAnswer(
  error: unknown,
  log: Log,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const fault = asFault(error)
  if (fault.code === 'internal_error' || fault.code === 'database_unavailable') {
    log.error('admin.request_failed', { code: fault.code, ...errorFields(error) })
  }
  const body: ErrorWire = {
    error: { code: fault.code, message: fault.message, param: fault.param, details: fault.details ?? null },
  }
  const challenge: Readonly<Record<string, string>> =
    fault.code === 'invalid_admin_token' ? { 'www-authenticate': 'Bearer realm="latchkey admin"' } : {}
  return Response.json(body, { status: fault.fault.status, headers: { ...headers, ...challenge } })
}

function asFault(error: unknown): LatchkeyError {
  if (error instanceof LatchkeyError) {
    // A fault of the start (a root key that does not open the keyring) has an exit code, not a status.
    if (!error.fault.planes.includes('start')) return error
    return new LatchkeyError(adminCode(error.code), {
      message: error.message,
      details: { fault: error.code },
      cause: error,
    })
  }
  if (isConnectionFault(error)) return new LatchkeyError('database_unavailable', { cause: error })
  const message = 'The gateway failed inside. Its log says why.'
  return new LatchkeyError('internal_error', { message, cause: error })
}

function adminCode(code: ErrorCode): 'database_unavailable' | 'internal_error' | 'conflict' {
  if (code === 'disk_full') return 'database_unavailable'
  return code === 'keyring_damaged' ? 'internal_error' : 'conflict'
}
