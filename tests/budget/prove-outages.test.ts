import { expect, test } from 'vitest'
import { outages } from '../proofs/budgets/outages.ts'
import { patient, violationsOf } from './proof.ts'

test(
  'Postgres may restart, or be away for a while, and two processes go on without a loss',
  patient,
  async () => {
    expect(await violationsOf(outages, 2)).toEqual([])
  },
)
