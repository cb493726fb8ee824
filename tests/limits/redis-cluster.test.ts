import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LimitAsk } from '../../gateway/src/limits/rate-limiter.ts'
import type { RedisHandle } from '../../gateway/src/runtime/redis.ts'
import { rpm, slots, tpm } from '../contracts/rate-limiter.ts'
import { startRedisCluster, type TestCluster } from '../support/redis.ts'
import { connect, newNamespace, patientMs, start, taken, takeUntilRefused } from './redis-limiters.ts'

let cluster: TestCluster
let handle: RedisHandle
beforeAll(async () => {
  cluster = await startRedisCluster()
  handle = await connect(cluster.url)
})
afterAll(async () => {
  handle.close()
  await cluster.discard()
})

function asksOf(organizationId: string): readonly LimitAsk[] {
  return [
    { scope: { organizationId, kind: 'key', id: 'alice' }, limits: [rpm(20), tpm(1000), slots(5)] },
    { scope: { organizationId, kind: 'group', id: 'class' }, limits: [rpm(100)] },
    { scope: { organizationId, kind: 'provider_key', id: 'main' }, limits: [tpm(100_000), slots(50)] },
  ]
}

test('one call takes all limits of a request, on whichever master its organization is', async () => {
  const options = { namespace: newNamespace(), instances: 2, deadlineMs: patientMs }
  const { limiter } = start({ client: handle.client, ...options })
  for (let organization = 0; organization < 30; organization++) {
    const asks = asksOf(`organization${organization}`)
    const { grant, state } = await taken(limiter, asks, 10)
    expect(state.map(({ remaining }) => remaining)).toEqual([19, 990, 4, 99, 99_990, 49])
    grant.settle(5)
  }
  await limiter.refresh()
  expect(limiter.fallbacks).toBe(0)
  for (const node of cluster.nodes) expect(await node.command('DBSIZE')).toBeGreaterThan(0)
})

test('a cluster that has lost a master is away, and back when the master is', async () => {
  const { limiter, log } = start({ client: handle.client, namespace: newNamespace(), instances: 2 })
  const asks = [
    { scope: { organizationId: 'school', kind: 'key', id: 'alice' }, limits: [rpm(100)] },
  ] as const
  await taken(limiter, asks)
  for (const node of cluster.nodes) await node.kill()
  const admitted = await takeUntilRefused(limiter, asks)
  expect(admitted).toBeGreaterThanOrEqual(50)
  expect(admitted).toBeLessThanOrEqual(52)
  const restored = log.next('limits.restored')
  for (const node of cluster.nodes) await node.start()
  await restored
  await taken(limiter, asks)
  expect(limiter.fallbacks).toBe(1)
})
