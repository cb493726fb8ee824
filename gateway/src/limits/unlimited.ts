import type { LimitGrant, LimitTaken } from './rate-limiter.ts'

const nothing: LimitGrant = Object.freeze({ settle: () => {}, giveBack: () => {}, split: () => nothing })

/** The decision on a request that no limit counts. */
export const unlimited: LimitTaken = Object.freeze({
  kind: 'taken',
  grant: nothing,
  state: Object.freeze([]),
})
