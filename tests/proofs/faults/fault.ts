import { setTimeout as sleep } from 'node:timers/promises'
import { nanoUsd } from '@latchkey/shared'
import { type Ask, boundOf, dearestAsk, plainAsk } from '../budgets/ask.ts'
import { audit } from '../budgets/audit.ts'
import type { Deployment, ProofKey } from '../budgets/deployment.ts'
import { Dice } from '../budgets/dice.ts'
import { admitsExactly } from '../budgets/exhaust.ts'
import type { Gateway } from '../budgets/gateway.ts'
import { type Draw, Load } from '../budgets/load.ts'
import { type Notes, plenty, type Surroundings, type Trial, trial } from '../budgets/trial.ts'

/** What a fault finds: a deployment under load. */
export interface World {
  readonly deployment: Deployment
  readonly notes: Notes
  readonly load: Load
  /** A key of the load, which may send more. */
  readonly key: ProofKey
  readonly dice: Dice
  readonly surroundings: Surroundings
}

/** Something that goes wrong, and is put right again. */
export interface Fault {
  readonly name: string
  /** Codes that the load may be answered with while it lasts; `none`: no answer at all. All others must be served. */
  readonly refusals: readonly string[]
  /** How soon everybody is served again once it is over. */
  readonly backWithinMs: number
  /** Does it, for as long as it lasts, and puts it right. */
  strike(world: World): Promise<void>
}

export interface FaultTrial {
  readonly name: string
  readonly faults: readonly Fault[]
  readonly settings?: Readonly<Record<string, string>>
  /** Once the load has ended, before the last look at the books. */
  readonly afterwards?: (world: World) => Promise<void>
}

const lanes = { quick: 8, full: 16 } as const
const smallLanes = 2
const largeAsks = 8
const leasesLastMs = 20_000
const lookAgainMs = 20
/** Answers in a row, none of them a refusal, which count as being back. */
const stretch = 50
/** What a small budget pays for: it is used up on the way. */
const smallPays = 400

/**
 * One fault after the other, on one deployment and under one load: streams and documents, with rate limits, with large
 * budgets and one that is used up. After each, the books are compared and everybody must be served again.
 */
export function underLoad(
  surroundings: Surroundings,
  { name, faults, settings = {}, afterwards = async () => undefined }: FaultTrial,
): Promise<Trial> {
  const { size, seed, say } = surroundings
  const shared = { database: 'shared', redis: true, severable: true } as const
  return trial(surroundings, { name, settings, ...shared }, async (deployment, notes) => {
    const dice = new Dice(seed)
    const { keys, small } = await mintKeys(deployment)
    const [key] = keys
    const load = new Load(deployment, notes, dice, steady(keys), lanes[size])
    const spending = new Load(deployment, notes, dice, () => dearestAsk(small), smallLanes)
    const world: World = { deployment, notes, load, key, dice, surroundings }
    await deployment.until('the load is under way', async () => load.count('200') > stretch)
    let filledAt = Number.NEGATIVE_INFINITY
    for (const fault of faults) {
      if (performance.now() - filledAt > leasesLastMs) {
        await fillLeases(deployment, notes, keys)
        filledAt = performance.now()
      }
      load.forget()
      await fault.strike(world)
      expectOnly(world, fault)
      const refused = refusalsOf(load)
      const back = await untilBack(world, fault)
      const { violations } = await audit(deployment)
      for (const violation of violations) notes.expect(false, `after ${fault.name}: ${violation}`)
      const seconds = (back.afterMs / 1000).toFixed(1)
      const measured = `${fault.name}: all served again after ${seconds} s, refused meanwhile: ${refused}, and after it: ${back.refused}`
      notes.measured.push(measured)
      say(`  ${measured}`)
    }
    await Promise.all([load.stop(), spending.stop()])
    await afterwards(world)
    // What a dead process has set aside comes back when it is swept.
    const { live } = await deployment.ledger.epochs()
    if (live === surroundings.processes) await admitsExactly(deployment, notes, key, 5)
  })
}

/** Requests that might cost a lot, at each gateway: from what is leased for them the load can be paid for minutes. */
async function fillLeases(deployment: Deployment, notes: Notes, keys: Keys['keys']): Promise<void> {
  const large = { maxTokens: 30_000, latencyMs: 200 } as const
  const send = async (key: ProofKey, gateway: Gateway) => {
    notes.add(await deployment.clients.send(gateway.dataUrl, { ...plainAsk(key), ...large }), gateway)
  }
  const asks = deployment.gateways.flatMap((gateway) =>
    keys.flatMap((key) => Array.from({ length: largeAsks }, () => send(key, gateway))),
  )
  await Promise.all(asks)
}

interface Keys {
  readonly keys: readonly [ProofKey, ProofKey]
  readonly small: ProofKey
}

/** Limits that nobody comes near: what counts is that they have to be asked about. */
async function mintKeys(deployment: Deployment): Promise<Keys> {
  const group = await deployment.group('everyone', plenty)
  const requests = { unit: 'requests', per: 'minute', limit: 1_000_000 } as const
  const slots = { unit: 'concurrency', limit: 100_000 } as const
  const small = nanoUsd(boundOf(dearestAsk({ id: '', token: '' })) * BigInt(smallPays))
  return {
    keys: [
      await deployment.mint('alice', { total: plenty, group, limits: [requests] }),
      await deployment.mint('bob', { total: plenty, group, limits: [requests, slots] }),
    ],
    small: await deployment.mint('carol', { total: small }),
  }
}

const streamFaults = ['cut=3', 'omit-usage', 'trickle'] as const

/** Requests whose upstream always sends a head, so that whoever sees none was not served by a gateway. */
function steady(keys: readonly [ProofKey, ProofKey]): Draw {
  return (dice): Ask => {
    const stream = dice.chance(50)
    return {
      ...plainAsk(dice.pick(keys)),
      prompt: 'word '.repeat(1 + dice.below(60)),
      maxTokens: 20 + dice.below(60),
      outputTokens: 5 + dice.below(60),
      stream,
      latencyMs: 20 + dice.below(60),
      pace: dice.pick([0, 0, 400]),
      fault: stream && dice.chance(10) ? dice.pick(streamFaults) : null,
      leaves: stream && dice.chance(5) ? { afterEvents: 1 + dice.below(10) } : null,
    }
  }
}

function expectOnly({ load, notes }: World, { name, refusals }: Fault): void {
  const others = [...load.codes].filter(([said]) => said !== '200' && !refusals.includes(said))
  notes.expect(others.length === 0, `${name}: requests ended with ${JSON.stringify(others)}`)
}

/** What was answered other than with success, and how often, in words. */
function refusalsOf({ codes }: Load): string {
  const refusals = [...codes].filter(([said]) => said !== '200').map(([said, count]) => `${count} ${said}`)
  return refusals.join(', ') || 'nobody'
}

/** How long it takes, in milliseconds, until the first of a row of answers of which none is a refusal, and what was refused by then. */
async function untilBack(
  { load, deployment }: World,
  { name, backWithinMs }: Fault,
): Promise<{ readonly afterMs: number; readonly refused: string }> {
  let refused = 'nobody'
  const since = performance.now()
  for (;;) {
    load.forget()
    const begun = performance.now()
    await deployment.until(`requests end after ${name}`, async () => load.total >= stretch)
    if (load.count('200') === load.total) return { afterMs: begun - since, refused }
    refused = refusalsOf(load)
    if (begun - since > backWithinMs) throw new Error(`${backWithinMs} ms after ${name}: ${refused}`)
    await sleep(lookAgainMs)
  }
}
