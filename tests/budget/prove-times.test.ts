import { expect, test } from 'vitest'
import { changes } from '../proofs/budgets/changes.ts'
import { databaseClockSteps, wallClockSteps } from '../proofs/budgets/clock-steps.ts'
import { midnight } from '../proofs/budgets/midnight.ts'
import { patient, violationsOf } from './proof.ts'

test(
  'at midnight two processes pay from the new day, and what began before from the old one',
  patient,
  async () => {
    expect(await violationsOf(midnight, 2)).toEqual([])
  },
)

// They wait for heartbeats, and can do so together.
test.concurrent(
  'a clock of the database that steps by an hour, on or back, refuses nobody and loses nothing',
  patient,
  async ({ expect }) => {
    expect(await violationsOf(databaseClockSteps, 1)).toEqual([])
  },
)

test.concurrent(
  'a clock of the gateway that steps by an hour, on or back, refuses nobody and loses nothing',
  patient,
  async ({ expect }) => {
    expect(await violationsOf(wallClockSteps, 1)).toEqual([])
  },
)

test('a budget that is changed under load holds as it was changed last', patient, async () => {
  expect(await violationsOf(changes, 2)).toEqual([])
})
