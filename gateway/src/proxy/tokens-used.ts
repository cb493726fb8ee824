import type { Answer, AttemptEnd } from './attempt-end.ts'

/** The tokens that an answer tells of; null: it does not. What the provider refused has used none. */
export function tokensTold({ status, reading }: Answer): number | null {
  if (reading === null) return status < 300 ? null : 0
  return (reading.usage.inputTokens ?? 0) + (reading.usage.outputTokens ?? 0)
}

/** The tokens that an attempt has used; null: nobody has said. `unsent`: it never reached its provider. */
export function tokensUsed(end: AttemptEnd): number | null | 'unsent' {
  switch (end.kind) {
    case 'answered':
      return tokensTold(end.answer)
    case 'discarded':
      return 0
    case 'failed':
    case 'disconnected':
      if (end.status !== null) return end.status < 300 ? null : 0
      return end.sent ? null : 'unsent'
    default:
      return end satisfies never
  }
}
