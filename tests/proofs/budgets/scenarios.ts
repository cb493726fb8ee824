import { changes } from './changes.ts'
import { databaseClockSteps, wallClockSteps } from './clock-steps.ts'
import { crowds } from './crowd.ts'
import { faults } from './faults.ts'
import { kills } from './kills.ts'
import { leavers } from './leavers.ts'
import { midnight } from './midnight.ts'
import { outages } from './outages.ts'
import { sql } from './sql.ts'
import type { Surroundings, Trial } from './trial.ts'

export interface Scenario {
  readonly number: number
  readonly title: string
  /** On how many processes it is run, one after the other. */
  readonly processes: readonly number[]
  run(surroundings: Surroundings): Promise<readonly Trial[]>
}

const oneAndTwo = [1, 2] as const

/** What is proved, in order. Of what concerns a gateway, everything is proved again with two processes on one Postgres. */
export const scenarios: readonly Scenario[] = [
  { number: 1, title: 'a crowd at a small budget', processes: oneAndTwo, run: crowds },
  { number: 2, title: 'clients that leave', processes: oneAndTwo, run: leavers },
  { number: 3, title: 'upstreams that fail and lie', processes: oneAndTwo, run: faults },
  { number: 4, title: 'kill -9', processes: oneAndTwo, run: kills },
  {
    number: 5,
    title: 'time passes, clocks jump, operators change their minds',
    processes: oneAndTwo,
    run: timesAndChanges,
  },
  { number: 6, title: 'Postgres goes, processes sleep', processes: [2], run: outages },
  { number: 7, title: 'the SQL alone', processes: [1], run: sql },
]

async function timesAndChanges(surroundings: Surroundings): Promise<readonly Trial[]> {
  return [
    await midnight(surroundings),
    await databaseClockSteps(surroundings),
    await wallClockSteps(surroundings),
    await changes(surroundings),
  ]
}
