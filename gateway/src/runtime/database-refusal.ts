import { errorCode, isConnectionFault, LatchkeyError, redact, type ServerConnection } from '@latchkey/shared'
import type { DatabaseSetting } from '../config.ts'

/** Why a server could not be asked, for people. */
export interface DatabaseRefusal {
  readonly message: string
  /** Whether waiting would change nothing: it is there, and does not want us. */
  readonly final: boolean
}

/** What an error of the driver says about the way to `connection`. It holds no password, and neither does the answer. */
export function describeRefusal(error: unknown, { host, port }: ServerConnection): DatabaseRefusal {
  const code = errorCode(error) ?? ''
  const said = error instanceof Error && error.message !== '' ? redact(error.message) : code
  const place = `The database at ${host.includes(':') ? `[${host}]` : host}:${port}`
  if (/CERT|SELF_SIGNED|UNABLE_TO_/.test(code)) {
    return {
      message: `${place} has a certificate that can't be trusted (${code}). Set LATCHKEY_DATABASE_CA to the file of its authority.`,
      final: true,
    }
  }
  if (said === 'The server does not support SSL connections') {
    return {
      message: `${place} knows no TLS, and sslmode asks for it. Set up TLS there, or say sslmode=disable.`,
      final: true,
    }
  }
  // SQLSTATE: who we are (28), or which database (3D), is not accepted.
  if (/^(?:28|3D)/.test(code)) return { message: `${place} refuses the gateway: ${said}.`, final: true }
  // SQLSTATE: all connections, of the server, the database or the user, are taken.
  if (code === '53300') {
    return {
      message: `${place} has no connection left: ${said}. Each process takes LATCHKEY_DATABASE_CONNECTIONS and two more.`,
      final: false,
    }
  }
  const reason = /^E[A-Z_]+$/.test(code) ? code : said
  return { message: `${place} can't be reached: ${reason}.`, final: false }
}

/** What to tell people when `error` ended a start: `database_unreachable` where the way to a server of their own is at fault. */
export function startFault(error: unknown, setting: DatabaseSetting): unknown {
  if (error instanceof LatchkeyError || setting.kind === 'embedded' || !isConnectionFault(error)) return error
  const { message } = describeRefusal(error, setting.connection)
  return new LatchkeyError('database_unreachable', { message, cause: error })
}
