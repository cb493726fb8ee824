import { setTimeout as sleep } from 'node:timers/promises'
import type { Surroundings, Trial } from '../budgets/trial.ts'
import { type Fault, underLoad, type World } from './fault.ts'

/** Each counts limits for itself meanwhile, and asks Redis again within this time. */
const backWithinMs = 5_000
const pauseMs = 2_000

/** Scenario 1: whatever becomes of Redis, everybody is served. */
export async function redis(surroundings: Surroundings): Promise<readonly Trial[]> {
  return [
    await underLoad(surroundings, { name: 'Redis fails in every way', faults: redisFaults(surroundings) }),
  ]
}

export function redisFaults({ size }: Surroundings): readonly Fault[] {
  const lastsMs = size === 'full' ? 5_000 : 500
  const times = size === 'full' ? 20 : 3
  const fault = (name: string, strike: Fault['strike']): Fault => ({
    name,
    refusals: [],
    backWithinMs,
    strike,
  })
  const repeated = (...words: readonly string[]) =>
    fault(`${words.join(' ')}, ${times} times`, async ({ deployment }) => {
      for (let time = 0; time < times; time++) {
        await deployment.redis.command(...words)
        await sleep(100)
      }
    })
  return [
    fault('Redis is killed, and starts empty', async ({ deployment }) => {
      await deployment.redis.kill()
      await sleep(lastsMs)
      await deployment.redis.start()
    }),
    repeated('FLUSHALL'),
    repeated('SCRIPT', 'FLUSH'),
    repeated('CLIENT', 'KILL', 'TYPE', 'normal'),
    fault(`CLIENT PAUSE ${pauseMs}`, async ({ deployment }) => {
      await deployment.redis.command('CLIENT', 'PAUSE', String(pauseMs), 'ALL')
      await sleep(pauseMs)
    }),
    fault('Redis stands still', async ({ deployment }) => {
      deployment.redis.freeze()
      await sleep(lastsMs)
      deployment.redis.thaw()
    }),
    fault('Redis is out of memory and evicts nothing', (world) =>
      configured(world, lastsMs, [
        ['CONFIG', 'SET', 'maxmemory-policy', 'noeviction', 'maxmemory', '1'],
        ['CONFIG', 'SET', 'maxmemory', '0'],
      ]),
    ),
    // Its master is nobody.
    fault('Redis becomes a replica, which can only be read', (world) =>
      configured(world, lastsMs, [
        ['REPLICAOF', '127.0.0.1', '1'],
        ['REPLICAOF', 'NO', 'ONE'],
      ]),
    ),
  ]
}

async function configured(
  { deployment }: World,
  lastsMs: number,
  [begin, end]: readonly [readonly string[], readonly string[]],
): Promise<void> {
  await deployment.redis.command(...begin)
  await sleep(lastsMs)
  await deployment.redis.command(...end)
}
