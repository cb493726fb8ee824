import { expect, test } from 'vitest'
import { atTheBound, crowds } from '../proofs/budgets/crowd.ts'
import { patient, violationsOf } from './proof.ts'

test('of a crowd, exactly those are served that the budget pays for', patient, async () => {
  expect(await violationsOf(atTheBound, 1)).toEqual([])
})

test('of a crowd at two processes, exactly those are served that the budget pays for', patient, async () => {
  expect(await violationsOf(crowds, 2)).toEqual([])
})
