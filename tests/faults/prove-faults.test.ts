import { expect, test } from 'vitest'
import { patient, violationsOf } from '../budget/proof.ts'
import type { Surroundings } from '../proofs/budgets/trial.ts'
import { underLoad } from '../proofs/faults/fault.ts'
import { gatewayFaults } from '../proofs/faults/gateways.ts'
import { postgresFaults } from '../proofs/faults/postgres.ts'
import { redisFaults } from '../proofs/faults/redis.ts'
import { stores } from '../proofs/faults/stores.ts'
import { clientFaults, impatient, upstreamFaults } from '../proofs/faults/upstream.ts'

test(
  'whatever becomes of Redis, Postgres, upstreams, clients and one gateway of three, nothing is lost or overspent, and all are served again',
  patient,
  async () => {
    const everything = (surroundings: Surroundings) =>
      underLoad(surroundings, {
        name: 'everything fails, one after the other',
        settings: impatient,
        faults: [redisFaults, postgresFaults, upstreamFaults, clientFaults, gatewayFaults].flatMap((faults) =>
          faults({ ...surroundings, kills: 1 }),
        ),
      })
    expect(await violationsOf(everything, 3)).toEqual([])
  },
)

test('where records can be kept nowhere nothing is served, until they can', patient, async () => {
  expect(await violationsOf(stores, 3)).toEqual([])
})
