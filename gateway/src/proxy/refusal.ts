import type { ErrorCode, ErrorOptions } from '@latchkey/shared'

/** How a stage says no: a code of the catalogue, and what may be said beyond its message. */
export interface Refusal {
  readonly kind: 'refused'
  readonly code: ErrorCode
  readonly message?: string
  readonly param?: string
  readonly details?: ErrorOptions['details']
  /** Headers of its answer, names and values in turn. */
  readonly headers?: readonly string[]
}

/** A refusal with `code`; `more` replaces the catalogue's message or names the field at fault. */
export function refuse(code: ErrorCode, more: Omit<Refusal, 'kind' | 'code'> = {}): Refusal {
  return { kind: 'refused', code, ...more }
}
