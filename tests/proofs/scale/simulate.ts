import { budgetTimes } from '../../../gateway/src/budget/budget-times.ts'
import type { Hold } from '../../../gateway/src/budget/hold.ts'
import { seededRandom } from '../../../gateway/src/simulator/seeded-random.ts'
import { Bank } from './bank.ts'
import { arrivals, seededNumbers } from './random-numbers.ts'
import type { Scene } from './scene.ts'
import { SimulatedKeys } from './simulated-keys.ts'
import { SimulatedLeases } from './simulated-leases.ts'
import { SimulatedLimits } from './simulated-limits.ts'
import { SimulatedRecords } from './simulated-records.ts'
import type { SimulatedRequest } from './simulated-request.ts'
import { newTally, since, type Tally } from './tally.ts'
import { Traffic } from './traffic.ts'
import { VirtualClock } from './virtual-clock.ts'

/** What came of a scene. All figures are of the processes that are followed. */
export interface Outcome {
  readonly scene: Scene
  /** From nothing in memory until `startSeconds`. */
  readonly start: Tally
  /** The seconds after that. */
  readonly steady: Tally
  /** When the last request was refused for argon2, in seconds; 0: never. */
  readonly lastOverloadedAt: number
  /** Leases at the end, what they had to spare and what requests held, nano-dollars. */
  readonly leases: { readonly count: number; readonly spare: bigint; readonly held: bigint }
  readonly limitsInSum: bigint
  /** Budgets of which more is settled and leased than their limit: there must be none. */
  readonly overspent: number
  /** Keys in memory, over the processes. */
  readonly knownKeys: number
}

interface Process {
  readonly keys: SimulatedKeys
  readonly leases: SimulatedLeases
  readonly limits: SimulatedLimits
  readonly records: SimulatedRecords
  readonly ending: Map<number, { readonly request: SimulatedRequest; readonly hold: Hold }[]>
}

/** Runs a scene in virtual time, a millisecond a step. The same seed gives the same counts. */
export function simulate(scene: Scene, seed: number): Outcome {
  const random = seededNumbers(seed)
  const bytes = seededRandom(seed)
  const clock = new VirtualClock()
  const tally = newTally()
  const bank = new Bank()
  const traffic = new Traffic(scene, bank, random)
  const { roundTripMs, argon2 } = scene
  const processes = Array.from({ length: scene.followed }, (): Process => {
    const shared = { bank, clock, tally, roundTripMs, processes: scene.processes }
    return {
      keys: new SimulatedKeys({ ...shared, argon2 }),
      leases: new SimulatedLeases({ ...shared, random: bytes, times: budgetTimes }),
      limits: new SimulatedLimits(shared),
      records: new SimulatedRecords(shared),
      ending: new Map(),
    }
  })

  const begin = (process: Process, request: SimulatedRequest, hold: Hold) => {
    const at = clock.monotonic() + request.durationMs
    const ending = process.ending.get(at)
    if (ending === undefined) process.ending.set(at, [{ request, hold }])
    else ending.push({ request, hold })
  }
  const admit = (process: Process, request: SimulatedRequest) => {
    process.limits.take(request)
    const hold = process.leases.hold(request)
    if (hold !== null) begin(process, request, hold)
  }
  const step = (process: Process, now: number) => {
    for (const { request, hold } of process.ending.get(now) ?? []) {
      process.records.add(process.leases.settle(hold, request))
      process.limits.settle(request)
    }
    process.ending.delete(now)
    for (const request of process.keys.exchange()) admit(process, request)
    for (const { request, hold } of process.leases.exchange()) begin(process, request, hold)
    process.records.exchange()
    process.limits.exchange()
    if (now % budgetTimes.lookEvery === 0) process.leases.look()
    if (now % budgetTimes.beatEvery === 0) process.leases.beat()
  }

  const perStep = traffic.requestsPerSecond / 1000
  const changeEveryMs = scene.changesPerSecond === 0 ? 0 : Math.round(1000 / scene.changesPerSecond)
  let start: Tally = newTally()
  let lastOverloadedAt = 0
  const endsAt = (scene.startSeconds + scene.seconds) * 1000
  for (let now = 1; now <= endsAt; now++) {
    clock.goTo(now)
    if (changeEveryMs > 0 && now % changeEveryMs === 0) for (const { keys } of processes) keys.changed()
    const refused = tally.refusedByArgon2
    for (const process of processes) step(process, now)
    for (let left = arrivals(perStep, random); left > 0; left--) {
      const request = traffic.next()
      const process = processes[placeOf(scene, request.key, random)]
      if (process === undefined) continue
      tally.requests++
      if (process.keys.knows(request)) admit(process, request)
    }
    if (tally.refusedByArgon2 > refused) lastOverloadedAt = now / 1000
    if (now === scene.startSeconds * 1000) start = since(newTally(), tally)
  }

  let leases = { count: 0, spare: 0n, held: 0n }
  for (const process of processes) {
    const { count, spare, held } = process.leases.sums
    leases = { count: leases.count + count, spare: leases.spare + spare, held: leases.held + held }
  }
  return {
    scene,
    start,
    steady: since(start, tally),
    lastOverloadedAt,
    leases,
    limitsInSum: bank.sums.limits,
    overspent: bank.overspent.length,
    knownKeys: processes.reduce((sum, { keys }) => sum + keys.known, 0),
  }
}

function placeOf({ routing, processes, followed }: Scene, key: number, random: () => number): number {
  switch (routing) {
    case 'any':
      return Math.floor(random() * followed)
    case 'by-key':
      return followed === processes ? key % processes : 0
    default:
      return routing satisfies never
  }
}
