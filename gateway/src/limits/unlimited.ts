import { checkTokens } from './cost.ts'
import type { LimitTaken } from './rate-limiter.ts'

/** The decision on a request that no limit counts. */
export const unlimited: LimitTaken = Object.freeze({
  kind: 'taken',
  grant: Object.freeze({ settle: checkTokens, giveBack: () => {} }),
  state: Object.freeze([]),
})
