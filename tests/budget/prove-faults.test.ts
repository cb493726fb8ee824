import { expect, test } from 'vitest'
import { faults } from '../proofs/budgets/faults.ts'
import { patient, violationsOf } from './proof.ts'

test(
  'whatever an upstream does, what it charges is in the books, and what nobody knows costs what was held',
  patient,
  async () => {
    expect(await violationsOf(faults, 1)).toEqual([])
  },
)
