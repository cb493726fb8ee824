import { errorCode } from '@latchkey/shared'

/** Whether Postgres refused because a unique value exists already (SQLSTATE 23505). */
export function isUniqueViolation(error: unknown): boolean {
  return errorCode(error) === '23505'
}

/** Whether Postgres ended this transaction, of several that waited for each other (SQLSTATE 40P01). */
export function isDeadlock(error: unknown): boolean {
  return errorCode(error) === '40P01'
}
