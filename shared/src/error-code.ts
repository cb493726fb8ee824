/**
 * The `code` of an error, or null where it has none: what Node's errors of the system say (`ENOENT`), and those
 * of Postgres (a SQLSTATE such as `23505`).
 */
export function errorCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
}
