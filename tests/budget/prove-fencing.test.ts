import { expect, test } from 'vitest'
import { fencing } from '../proofs/budgets/fencing.ts'
import { patient, violationsOf } from './proof.ts'

test(
  'a process that was stopped, swept and robbed of its leases spends nothing of them when it wakes',
  patient,
  async () => {
    expect(await violationsOf(fencing, 2)).toEqual([])
  },
)
