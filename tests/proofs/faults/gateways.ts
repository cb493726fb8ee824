import { setTimeout as sleep } from 'node:timers/promises'
import { plainAsk } from '../budgets/ask.ts'
import { swept } from '../budgets/kills.ts'
import type { Surroundings, Trial } from '../budgets/trial.ts'
import { type Fault, underLoad, type World } from './fault.ts'

const backWithinMs = 2_000
const streams = 200
/** So that a stream takes some two seconds. */
const streamed = { stream: true, maxTokens: 60, outputTokens: 60, pace: 30 } as const

/** Scenario 3: what becomes of one gateway is the concern of its own clients alone. */
export async function gateways(surroundings: Surroundings): Promise<readonly Trial[]> {
  const faults = gatewayFaults(surroundings)
  const name = 'one gateway of three is killed, sleeps, is told to stop'
  // Whoever is dead is watched for a minute before what it has left is taken over.
  const afterwards = surroundings.size === 'full' ? takenOver : async () => undefined
  return [await underLoad(surroundings, { name, faults, afterwards })]
}

export function gatewayFaults({ size, kills }: Surroundings): readonly Fault[] {
  const sleepMs = size === 'full' ? 20_000 : 1_500
  const kill: Fault = {
    name: 'a gateway is killed with -9',
    refusals: ['none'],
    backWithinMs,
    strike: killOne,
  }
  return [
    ...Array.from({ length: kills }, () => kill),
    {
      name: `a gateway is stopped where it is for ${sleepMs / 1000} s`,
      refusals: [],
      backWithinMs,
      strike: (world) => suspendOne(world, sleepMs),
    },
    {
      name: `a gateway is told to stop while ${streams} streams run`,
      refusals: ['none', 'draining'],
      backWithinMs,
      strike: stopOne,
    },
  ]
}

async function killOne({ deployment, dice, surroundings }: World): Promise<void> {
  const victim = await deployment.gateway(dice.below(surroundings.processes))
  await victim.kill()
  await deployment.replace(victim)
}

/** It is not gone for so long that others would take it for dead. */
async function suspendOne({ deployment, dice, notes, surroundings }: World, sleepMs: number): Promise<void> {
  const sleeper = await deployment.gateway(dice.below(surroundings.processes))
  sleeper.suspend()
  await sleep(sleepMs)
  sleeper.resume()
  notes.expect(sleeper.logged('budget.epoch_lost') === 0, 'a gateway that only slept was taken for dead')
}

/** Every stream that runs by then ends whole, and so does the process. */
async function stopOne({ deployment, dice, notes, key, surroundings }: World): Promise<void> {
  const leaver = await deployment.gateway(dice.below(surroundings.processes))
  let running = 0
  const begun = Array.from({ length: streams }, () =>
    deployment.clients.send(leaver.dataUrl, { ...plainAsk(key), ...streamed }, () => running++),
  )
  await deployment.until('all streams run', async () => running === streams)
  const stopping = leaver.stop()
  const ended = await Promise.all(begun)
  for (const outcome of ended) notes.add(outcome, leaver)
  const whole = ended.filter(({ status, complete }) => status === 200 && complete).length
  notes.expect(whole === streams, `${streams - whole} of ${streams} running streams were cut by a drain`)
  const code = await stopping
  notes.expect(code === 0, `a gateway that was told to stop ended with ${code}`)
  await deployment.replace(leaver)
}

/** Whatever the dead had answered is recorded by the living, but for what no copy was made of; their leases are swept. */
async function takenOver({ deployment, notes, surroundings }: World): Promise<void> {
  await deployment.quiet()
  await swept(deployment, surroundings.processes)
  const recorded = new Set((await deployment.ledger.sentRecords()).map(({ id }) => id))
  const { orphaned } = notes
  const found = orphaned.filter((id) => recorded.has(id)).length
  notes.measured.push(
    `of ${orphaned.length} requests that killed gateways had answered, ${found} are recorded; the rest is unsettled`,
  )
}
