import { expect, test } from 'vitest'
import { leavers } from '../proofs/budgets/leavers.ts'
import { patient, violationsOf } from './proof.ts'

test(
  'a client that leaves pays for what was generated, whenever it leaves, and never more than was held',
  patient,
  async () => {
    expect(await violationsOf(leavers, 1)).toEqual([])
  },
)
