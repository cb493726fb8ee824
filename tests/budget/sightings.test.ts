import { expect, test } from 'vitest'
import type { LiveEpoch } from '../../gateway/src/budget/epoch.ts'
import { Sightings } from '../../gateway/src/budget/sightings.ts'
import { newEpochId } from './books.ts'

const beatEvery = 5_000
const id = newEpochId()
const at = (counter: bigint): readonly LiveEpoch[] => [{ id, counter }]
const watch = () => new Sightings(60_000, 15_000)

test('an epoch is dead once its counter has stood still through sixty seconds of looks', () => {
  const sightings = watch()
  for (let now = 0; now < 60_000; now += beatEvery) expect(sightings.look(at(7n), now)).toEqual([])
  expect(sightings.look(at(7n), 60_000)).toEqual(at(7n))
})

test('a counter that moves begins the wait anew', () => {
  const sightings = watch()
  for (let now = 0; now < 55_000; now += beatEvery) sightings.look(at(7n), now)
  for (let now = 55_000; now < 115_000; now += beatEvery) expect(sightings.look(at(8n), now)).toEqual([])
  expect(sightings.look(at(8n), 115_000)).toEqual(at(8n))
})

test('whoever slept has seen nothing: a gap between two looks begins the wait anew', () => {
  const sightings = watch()
  for (let now = 0; now <= 55_000; now += beatEvery) sightings.look(at(7n), now)
  expect(sightings.look(at(7n), 80_000)).toEqual([])
  for (let now = 85_000; now < 140_000; now += beatEvery) expect(sightings.look(at(7n), now)).toEqual([])
  expect(sightings.look(at(7n), 140_000)).toEqual(at(7n))
})

test('a broken connection begins the wait anew', () => {
  const sightings = watch()
  for (let now = 0; now <= 55_000; now += beatEvery) sightings.look(at(7n), now)
  sightings.forget()
  expect(sightings.look(at(7n), 60_000)).toEqual([])
})
