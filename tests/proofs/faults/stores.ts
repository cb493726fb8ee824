import type { Surroundings, Trial } from '../budgets/trial.ts'
import { type Fault, underLoad, type World } from './fault.ts'

/** So small that it is soon full: records in memory, and bytes of them on the disk. */
const settings = { LATCHKEY_RECORD_QUEUE: '40', LATCHKEY_SPOOL_BYTES: '5000' }
const backWithinMs = 15_000
const fullWithinMs = 30_000
const refusedInARow = 200

/** Scenario 5: where no record can be kept any more nothing is served, until it can. */
export async function stores(surroundings: Surroundings): Promise<readonly Trial[]> {
  const name = 'Postgres and Redis are down, and the spool is full'
  return [await underLoad(surroundings, { name, settings, faults: [nowhere] })]
}

const nowhere: Fault = {
  name: 'records can be kept nowhere',
  // A lease may be used up before the last place is.
  refusals: ['overloaded', 'budget_unavailable'],
  backWithinMs,
  strike,
}

async function strike({ deployment, load, notes }: World): Promise<void> {
  await deployment.redis.kill()
  await deployment.postgres.stop()
  const stoppedAt = performance.now()
  await deployment.until(
    'nobody is served any more',
    async () => {
      const none = load.count('200') === 0 && load.count('overloaded') > 0
      if (load.total < refusedInARow) return false
      load.forget()
      return none
    },
    fullWithinMs,
  )
  const seconds = ((performance.now() - stoppedAt) / 1000).toFixed(1)
  notes.measured.push(`nothing is served any more ${seconds} s after both stores went`)
  await deployment.postgres.start()
  await deployment.redis.start()
}
