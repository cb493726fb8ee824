import type { LimitPeriod } from '@latchkey/shared'

/** How long limits take to refill, in milliseconds. */
export const periodMs: Readonly<Record<LimitPeriod, number>> = Object.freeze({
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
})
