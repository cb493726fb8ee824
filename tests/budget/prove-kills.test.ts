import { expect, test } from 'vitest'
import { kills } from '../proofs/budgets/kills.ts'
import { patient, violationsOf } from './proof.ts'

test('kill -9 under load loses no money, and blocks nobody once it is swept', patient, async () => {
  expect(await violationsOf(kills, 1)).toEqual([])
})

test('kill -9 of one of two processes loses no money', patient, async () => {
  expect(await violationsOf(kills, 2)).toEqual([])
})
