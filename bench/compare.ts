import { setTimeout as sleep } from 'node:timers/promises'
import { describeMachine } from './machine.ts'
import { type Contestant, type Instruments, type Measurement, measure, requestOf } from './measure.ts'
import type { Options } from './options.ts'
import { usageOf } from './processes.ts'
import { medianOf, type Results, type WorkloadResults } from './results.ts'
import { type Scene, withScene } from './scene.ts'
import { type Workload, workloads } from './workloads.ts'

/** What starting has left behind is given back by then. */
const restMs = 5000
const keysAtOnce = 4
/** What a target forgets while others have their turn (caches, pages of memory) comes back in this time. */
const leadInSeconds = 2
const warmUnits = 60_000
const mostWarmUps = 8
/** A rate that is fixed comes to that many units in minutes only. */
const mostSteadyWarmUps = 3
/** Whoever was overloaded goes on with what has piled up, on the core of those after it. */
const mostIdleWaitMs = 10_000
const idleLookMs = 250
const idleShare = 0.1

/**
 * Measures the targets side by side, in interleaved rounds, so that what changes with time favours none. `keep` gets
 * what has been found after each workload: a run takes long, and may be stopped.
 */
export async function compare(
  options: Options,
  say: (line: string) => void,
  keep: (soFar: Results) => void,
): Promise<Results> {
  const chosen = workloads.filter(({ name }) => options.workloads.has(name))
  const startedAt = new Date().toISOString()
  return withScene({ targets: options.targets, nodeOptions: '', say }, async (scene) => {
    await sleep(restMs)
    const atRest = scene.targets.map(({ name, pids }) => ({ target: name, memory: usageOf(pids).memory }))
    const { machine, command } = circumstances(scene.instruments)
    const targets = scene.targets.map(({ name, note }) => ({ name, note }))
    const { rounds: count, seconds } = options
    let results: Results = {
      ...{ startedAt, command, machine, rounds: count, seconds },
      ...{ workloads: [], atRest, targets, missing: scene.missing },
    }
    for (const workload of chosen) {
      const found = await rounds(scene, workload, options, say)
      results = { ...results, workloads: [...results.workloads, found] }
      keep(results)
    }
    return results
  })
}

function circumstances({ cores }: Instruments) {
  const args = process.argv.slice(2)
  return {
    machine: describeMachine(cores),
    command: ['npm run bench', ...(args.length === 0 ? [] : ['--', ...args])].join(' '),
  }
}

async function rounds(
  scene: Scene,
  workload: Workload,
  options: Options,
  say: (line: string) => void,
): Promise<WorkloadResults> {
  const { rounds: count, seconds, warmSeconds } = options
  const targets = needsKeys(workload)
    ? await withKeys(scene, workload, options.keys, say)
    : targetsFor(scene, workload)
  for (const target of targets) {
    say(`${workload.name}: warming ${target.name} up`)
    await warmUp(scene.instruments, workload, target, warmSeconds)
  }
  const found = new Map<string, Measurement[]>(targets.map(({ name }) => [name, []]))
  for (let round = 1; round <= count; round++) {
    // In turn from the first on and from the last.
    for (const target of round % 2 === 1 ? targets : targets.toReversed()) {
      if (workload.kind === 'closed-loop') await measure(scene.instruments, workload, target, leadInSeconds)
      const measured = await measure(scene.instruments, workload, target, seconds)
      await untilIdle(target)
      found.get(target.name)?.push(measured)
      say(
        `${workload.name} ${round}/${count}: ${target.name}, ${Math.round(measured.cpu ?? 0)} µs of CPU each`,
      )
    }
  }
  const { name, title, kind } = workload
  return {
    ...{ name, title, kind },
    targets: [...found].map(([target, all]) => ({ name: target, rounds: all, median: medianOf(all) })),
  }
}

/** By time and by requests: on a busy machine it takes longer until everything is compiled. */
export async function warmUp(
  instruments: Instruments,
  workload: Workload,
  target: Contestant,
  seconds: number,
): Promise<void> {
  const most = workload.kind === 'steady' ? mostSteadyWarmUps : mostWarmUps
  for (let times = 0, units = 0; times < most && units < warmUnits; times++)
    units += (await measure(instruments, workload, target, seconds)).unitsPerSecond * seconds
  await untilIdle(target)
}

/** Waits until a target has nothing left to do, for some seconds at the most. */
async function untilIdle({ pids }: Contestant): Promise<void> {
  if (pids.length === 0) return
  const deadline = performance.now() + mostIdleWaitMs
  for (let before = usageOf(pids).cpuMs; performance.now() < deadline; ) {
    await sleep(idleLookMs)
    const now = usageOf(pids).cpuMs
    if (now - before <= idleShare * idleLookMs) return
    before = now
  }
}

function needsKeys(workload: Workload): boolean {
  return workload.kind === 'closed-loop' && workload.manyKeys
}

/** A fixed rate is compared with the provider alone. */
function targetsFor({ targets, provider }: Scene, { kind }: Workload): readonly Contestant[] {
  const all = kind === 'steady' ? [provider, ...targets] : targets
  return all.map((target) => ({ ...target, keys: null }))
}

/** The first gateway that has keys, with one of them and with many. Each is verified once, which takes argon2 its minutes. */
async function withKeys(
  { targets, instruments }: Scene,
  workload: Workload,
  count: number,
  say: (line: string) => void,
): Promise<readonly Contestant[]> {
  for (const target of targets) {
    if (target.makeKeys === null) continue
    say(`${workload.name}: making and verifying ${count} keys at ${target.name}`)
    const keys = await target.makeKeys(count)
    const request = { url: target.url, ...requestOf(workload, target, 1) }
    const { failed } = await instruments.loader.run({
      ...{ kind: 'each-key', ...request, keys: [...keys], atOnce: keysAtOnce },
    })
    if (failed > 0) throw new Error(`${failed} keys were refused`)
    return [
      { ...target, name: `${target.name}, 1 key`, keys: keys.slice(0, 1) },
      { ...target, name: `${target.name}, ${count} keys`, keys },
    ]
  }
  return []
}
