/**
 * Whether `error` says that the database could not be reached or asked, not that it refused what it was
 * asked: errors of the socket, of `pg`'s pool, and the classes 08 (connection), 53 (resources) and 57P
 * (operator intervention) of SQLSTATE. https://www.postgresql.org/docs/18/errcodes-appendix.html
 */
export function isConnectionFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (/^(?:timeout exceeded when trying to connect|Connection terminated)/.test(error.message)) return true
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return /^(?:ECONN|ENOENT$|EPIPE$|ETIMEDOUT$|08|53|57P)/.test(code)
}
