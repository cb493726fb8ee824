import { nanoUsd } from '@latchkey/shared'
import { type Ask, boundOf, dearestAsk } from './ask.ts'
import type { Deployment, ProofKey } from './deployment.ts'
import { exhaust } from './exhaust.ts'
import { type Notes, type Surroundings, type Trial, trial } from './trial.ts'

/** How many come at once, and how many of them a budget pays for. */
const sizes = {
  quick: { crowd: 200, pays: 37, keys: 3, perKey: 8, perGroup: 20, all: 33 },
  full: { crowd: 1000, pays: 137, keys: 5, perKey: 30, perGroup: 100, all: 137 },
} as const

const latencyMs = 300
const nobody: ProofKey = { id: '', token: '' }

/** Scenario 1: a thousand requests at once at a budget that pays for a few of them. */
export async function crowds(surroundings: Surroundings): Promise<readonly Trial[]> {
  return [await atTheBound(surroundings), await belowTheBound(surroundings), await crossing(surroundings)]
}

/** Usage equal to the bound: exactly as many are served as the budget pays for. */
export function atTheBound(surroundings: Surroundings): Promise<Trial> {
  const { crowd, pays } = sizes[surroundings.size]
  const name = `${crowd} at once, usage equal to the bound, ${pays} are paid for`
  return trial(surroundings, { name }, async (deployment, notes) => {
    const total = nanoUsd(boundOf(dearestAsk(nobody)) * BigInt(pays))
    const key = await deployment.mint('alice', { total })
    const served = await rush(deployment, notes, crowd, () => ({ ...dearestAsk(key), latencyMs }))
    // Of several processes, one may have set aside for its next requests what another is refused.
    if (surroundings.processes === 1)
      notes.expect(served === pays, `${served} of the crowd were served, not ${pays}`)
    await exhaust(deployment, notes, [key])
    await expectServed(deployment, notes, pays)
    const { settled } = await deployment.ledger.window('key', key.id)
    notes.expect(settled === total, `${settled} of ${total} nano-dollars are settled`)
  })
}

function belowTheBound(surroundings: Surroundings): Promise<Trial> {
  const { crowd, pays } = sizes[surroundings.size]
  const name = `${crowd} at once, usage below the bound`
  return trial(surroundings, { name }, async (deployment, notes) => {
    const bound = boundOf(dearestAsk(nobody))
    const key = await deployment.mint('alice', { total: nanoUsd(bound * BigInt(pays)) })
    const cheapAsk = (key: ProofKey): Ask => ({ ...dearestAsk(key), inputTokens: 200, outputTokens: 20 })
    await rush(deployment, notes, crowd, () => ({ ...cheapAsk(key), latencyMs }))
    await deployment.quiet()
    // One after the other now: as long as a request's bound fits, none is told that the budget is used up.
    const inFlight = await exhaust(deployment, notes, [key], cheapAsk)
    if (surroundings.processes === 1)
      notes.expect(inFlight === 0, `with nothing in flight ${inFlight} requests were told that something is`)
    await deployment.quiet()
    const { limit, settled, unsettled } = await deployment.ledger.window('key', key.id)
    const left = limit - settled - unsettled
    notes.expect(
      left < bound,
      `a request was told that the budget is used up, and ${left} of ${bound} were left`,
    )
  })
}

function crossing(surroundings: Surroundings): Promise<Trial> {
  const { crowd, keys: count, perKey, perGroup, all } = sizes[surroundings.size]
  const name = `${crowd} at once, budgets of keys, groups and the organization that cross`
  return trial(surroundings, { name }, async (deployment, notes) => {
    const bound = boundOf(dearestAsk(nobody))
    const times = (requests: number) => nanoUsd(bound * BigInt(requests))
    await deployment.limitOrganization(times(all))
    const keys: ProofKey[] = []
    for (const group of ['north', 'south']) {
      await deployment.group(group, times(perGroup))
      for (let index = 0; index < count; index++)
        keys.push(await deployment.mint(`${group}-${index}`, { total: times(perKey), group }))
    }
    await rush(deployment, notes, crowd, (turn) => ({
      ...dearestAsk(keys[turn % keys.length] ?? nobody),
      latencyMs,
    }))
    // A key has room as long as all of its budgets have: the organization's is the least of all sums.
    await exhaust(deployment, notes, keys)
    await expectServed(deployment, notes, all)
  })
}

/** Sends all at once and waits for all. Returns how many were served. */
async function rush(
  deployment: Deployment,
  notes: Notes,
  crowd: number,
  askOf: (turn: number) => Ask,
): Promise<number> {
  let served = 0
  await Promise.all(
    Array.from({ length: crowd }, async (_, turn) => {
      const gateway = await deployment.gateway(turn)
      const outcome = await deployment.clients.send(gateway.dataUrl, askOf(turn))
      notes.add(outcome, gateway)
      if (outcome.status === 200) served++
      else
        notes.expect(
          outcome.code === 'budget_in_flight' || outcome.code === 'insufficient_quota',
          `a request of the crowd ended with ${outcome.status} ${outcome.code}`,
        )
    }),
  )
  return served
}

/** Whether the upstream, by its own books, has served exactly so many. */
async function expectServed(deployment: Deployment, notes: Notes, count: number): Promise<void> {
  await deployment.quiet()
  const { statuses } = await deployment.upstream.books()
  notes.expect(statuses['200'] === count, `the upstream has served ${statuses['200'] ?? 0}, not ${count}`)
}
