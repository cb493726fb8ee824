import { errorCode } from '../error-code.ts'
import { isUnanswered } from './loan.ts'

/**
 * Whether `error` says that the database could not be reached or asked, not that it refused what it was
 * asked: errors of names and sockets, of `pg`'s pool, and the classes 08 (connection), 28 (authorization, as when the
 * password was changed), 53 (resources) and 57P (operator intervention) of SQLSTATE.
 * https://www.postgresql.org/docs/18/errcodes-appendix.html
 */
export function isConnectionFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (
    /^(?:timeout expired|timeout exceeded when trying to connect|Connection terminated)/.test(error.message)
  )
    return true
  if (isUnanswered(error)) return true
  const code = errorCode(error) ?? ''
  return /^(?:ECONN|EHOST|ENET|ENOENT$|ENOTFOUND$|EAI_|EPIPE$|ETIMEDOUT$|08|28|53|57P)/.test(code)
}
