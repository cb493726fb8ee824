import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { holderKeyWire } from '@latchkey/shared'
import { z } from 'zod'
import { freePort } from '../tests/support/free-port.ts'
import { connectInspector, type Inspector } from './inspector.ts'
import { requestHeaders } from './measure.ts'
import { type Scene, withScene } from './scene.ts'
import type { Target } from './targets/target.ts'
import { mixedBodies } from './workloads.ts'

/** What a gateway keeps. */
export interface Kept {
  /** Bytes, after the garbage has been collected. */
  readonly heap: number
  /** Bytes outside the heap: buffers. */
  readonly buffers: number
  readonly sockets: number
  readonly timers: number
  /** The dollars that a budget holds for requests in flight. */
  readonly held: string
}

export interface SoakReport {
  readonly before: Kept
  readonly after: Kept
  readonly sent: number
  readonly failed: number
  /** What is not back where it was; empty: nothing leaks. */
  readonly leaks: readonly string[]
}

const atOnce = 48
/** Five requests in a hundred are left by their client. */
const leaveEvery = 20
const warmMs = 8_000
/** An answer without its client is read on for 10 s, and idle connections to providers are kept for 15 s. */
const restMs = 28_000
const restDeadlineMs = 60_000
const lookEveryMs = 2_000

/** Beyond these, something is kept that should not be. */
const most = { heap: 6 * 2 ** 20, buffers: 4 * 2 ** 20, sockets: 2, timers: 6 }

/**
 * Gives a gateway mixed load for `loadMs`, with clients that leave, lets it rest, and compares what it keeps with what
 * it kept before, after a shorter load of the same kind.
 */
export async function soak(loadMs: number, say: (line: string) => void): Promise<SoakReport> {
  const port = await freePort()
  const options = { targets: new Set(['latchkey']), nodeOptions: `--inspect=127.0.0.1:${port}`, say }
  return withScene(options, async (scene) => {
    const [target] = scene.targets
    if (target === undefined) throw new Error(scene.missing[0]?.reason ?? 'latchkey does not run here')
    const inspector = await connectInspector(port)
    say(`warming up for ${warmMs / 1000} s`)
    await load(scene, target, warmMs)
    const before = await resting(inspector, target, null)
    say(`loading for ${loadMs / 1000} s`)
    const { sent, failed } = await load(scene, target, loadMs)
    say(`${sent} requests were sent, ${failed} failed; resting`)
    const after = await resting(inspector, target, before)
    inspector.close()
    return { before, after, sent, failed, leaks: leaksBetween(before, after) }
  })
}

function load({ instruments }: Scene, target: Target, forMs: number) {
  const { url } = target
  const headers = requestHeaders(target)
  return instruments.loader.run({
    ...{ kind: 'mixed', url, headers, bodies: [...mixedBodies], atOnce, leaveEvery, forMs },
  })
}

/** What is kept once all is back where it was (`before`), or has had its time. */
async function resting(inspector: Inspector, target: Target, before: Kept | null): Promise<Kept> {
  const deadline = performance.now() + (before === null ? restMs : restDeadlineMs)
  for (;;) {
    await sleep(lookEveryMs)
    const kept = await look(inspector, target)
    const settled = before !== null && leaksBetween(before, kept).length === 0
    if (settled || performance.now() > deadline) return kept
  }
}

function leaksBetween(before: Kept, after: Kept): readonly string[] {
  const grown = (['heap', 'buffers', 'sockets', 'timers'] as const)
    .filter((name) => after[name] - before[name] > most[name])
    .map((name) => `${name}: ${before[name]} before, ${after[name]} after`)
  const held = after.held === '0' ? [] : [`budgets hold $${after.held} for nobody`]
  return [...grown, ...held]
}

const evaluationShape = z.object({ result: z.object({ value: z.string() }) })
const insideShape = z.object({
  memory: z.object({ heapUsed: z.number(), external: z.number() }),
  resources: z.array(z.string()),
})
const inside =
  'JSON.stringify({ memory: process.memoryUsage(), resources: process.getActiveResourcesInfo() })'

async function look(inspector: Inspector, target: Target): Promise<Kept> {
  await inspector.call('HeapProfiler.collectGarbage')
  const answer = evaluationShape.parse(await inspector.call('Runtime.evaluate', { expression: inside }))
  const { memory, resources } = insideShape.parse(JSON.parse(answer.result.value))
  const response = await fetch(new URL('/key', target.url), { headers: { ...target.headers } })
  const view = holderKeyWire.parse(await response.json())
  const held = view.budgets.map(({ heldUsd }) => heldUsd).find((amount) => amount !== '0') ?? '0'
  return {
    heap: memory.heapUsed,
    buffers: memory.external,
    sockets: target.pids.reduce((sum, pid) => sum + socketsOf(pid), 0),
    timers: resources.filter((name) => name === 'Timeout').length,
    held,
  }
}

function socketsOf(pid: number): number {
  const directory = `/proc/${pid}/fd`
  return readdirSync(directory).filter((name) => {
    try {
      return readlinkSync(`${directory}/${name}`).startsWith('socket:')
    } catch {
      // Closed meanwhile.
      return false
    }
  }).length
}
