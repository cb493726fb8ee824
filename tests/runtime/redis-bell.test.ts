import { setTimeout as sleep } from 'node:timers/promises'
import { createLog, Secret, systemClock, systemRandom } from '@latchkey/shared'
import type { Vault } from '@latchkey/vault'
import { openVault } from '@latchkey/vault'
import type { KyselyPlugin } from 'kysely'
import { afterAll, expect, onTestFinished, test, vi } from 'vitest'
import { parseRedisUrl } from '../../gateway/src/redis-url.ts'
import { connectRedis } from '../../gateway/src/runtime/redis.ts'
import { redisBell } from '../../gateway/src/runtime/redis-bell.ts'
import { bestOfThree } from '../support/best-of.ts'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { startRedis, startRedisCluster } from '../support/redis.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { addProviderKey, mint } from '../vault/fixture.ts'

const redis = await startRedis()
afterAll(() => redis.discard())

const log = createLog('silent')
const rootKey = { kind: 'value', value: new Secret(Buffer.alloc(32, 7).toString('base64')) } as const

/** A vault of a process that hears by Redis alone, once it does. With null, what it sends waits for ever. */
async function vaultOn(
  { kysely }: Pick<TestDatabase, 'kysely'>,
  url: string,
  commandTimeoutMs: number | null = 1000,
): Promise<Vault> {
  const setting = { connection: parseRedisUrl(new Secret(url)), authorityFile: null }
  const shared = connectRedis(
    setting.connection,
    { authority: null, commandTimeoutMs, connectionName: 'latchkey' },
    log,
  )
  await shared.ready(20_000)
  const vault = await openVault({
    ...{ db: kysely, rootKey, clock: systemClock, random: systemRandom, log },
    bell: (deployment) => redisBell(setting, shared, deployment, log),
  })
  onTestFinished(async () => {
    await vault.close()
    shared.close()
  })
  return vault
}

async function servedAs(vault: Vault, token: string): Promise<string> {
  const verification = await vault.verifier.verify(token)
  return verification.kind === 'verified' ? verification.principal.status : verification.kind
}

async function database(): Promise<TestDatabase> {
  const opened = await startTestDatabase()
  onTestFinished(() => opened.close())
  return opened
}

/** How long a revocation at one takes to the other, in milliseconds. */
async function revocationTakes(one: Vault, other: Vault): Promise<number> {
  const { key, token } = await mint(one, ['main'])
  expect(await servedAs(other, token)).toBe('active')
  await one.proxyKeys.revoke(one.defaultOrganizationId, key.id)
  const began = performance.now()
  await vi.waitFor(async () => expect(await servedAs(other, token)).toBe('revoked'), {
    interval: 5,
    timeout: 10_000,
  })
  return performance.now() - began
}

/** Resolves once so many processes hear the rings of a vault's deployment. */
async function heardBy(vault: Vault, count: number): Promise<void> {
  const channel = `latchkey:${vault.deploymentId}:changes`
  await vi.waitFor(
    async () => expect(await redis.command('PUBSUB', 'NUMSUB', channel)).toEqual([channel, count]),
    { interval: 10, timeout: 10_000 },
  )
}

test('a revocation reaches another process by Redis long before its poll, without NOTIFY', async () => {
  const at = await database()
  const [one, other] = [await vaultOn(at, redis.url), await vaultOn(at, redis.url)]
  await addProviderKey(one, 'main')
  await heardBy(one, 2)
  // Each poll comes 2 s after the one before: by polls alone, all but the first would take nearly so long.
  const took: number[] = []
  for (let round = 0; round < 5; round++) took.push(await revocationTakes(one, other))
  const [, , median] = took.toSorted((a, b) => a - b)
  expect(median).toBeLessThan(500)
})

test('a connection that has fallen silent is replaced, and what was missed meanwhile is looked for', async () => {
  const at = await database()
  const proxy = await startTcpProxy({ port: redis.port })
  onTestFinished(() => proxy.close())
  const one = await vaultOn(at, redis.url)
  const other = await vaultOn(at, `redis://127.0.0.1:${proxy.port}`)
  await addProviderKey(one, 'main')
  await heardBy(one, 2)
  proxy.pause()
  // The poll is left: pub/sub lost costs time, never a revocation.
  expect(await bestOfThree(2500, () => revocationTakes(one, other))).toBeLessThan(2500)
  proxy.cut()
  proxy.resume()
  await heardBy(one, 2)
  expect(await bestOfThree(500, () => revocationTakes(one, other))).toBeLessThan(500)
})

test('changes are made as fast as ever while Redis hangs', async () => {
  const at = await database()
  const proxy = await startTcpProxy({ port: redis.port })
  onTestFinished(() => proxy.close())
  const vault = await vaultOn(at, `redis://127.0.0.1:${proxy.port}`, null)
  await addProviderKey(vault, 'main')
  const { key } = await mint(vault, ['main'])
  proxy.pause()
  const began = performance.now()
  await vault.proxyKeys.pause(vault.defaultOrganizationId, key.id)
  expect(performance.now() - began).toBeLessThan(10_000)
})

test('ten thousand forged rings cost a handful of statements', async () => {
  let statements = 0
  const counting: KyselyPlugin = {
    transformQuery({ node }) {
      const from = node.kind === 'SelectQueryNode' ? JSON.stringify(node.from) : ''
      if (from.includes('change_counter')) statements += 1
      return node
    },
    transformResult: async ({ result }) => result,
  }
  const { kysely } = await database()
  const vault = await vaultOn({ kysely: kysely.withPlugin(counting) }, redis.url)
  await heardBy(vault, 1)
  await vault.changes.poll()
  statements = 0
  const generation = vault.changes.generation
  const channel = `latchkey:${vault.deploymentId}:changes`
  const began = performance.now()
  await redis.command('EVAL', `for i = 1, 10000 do redis.call('PUBLISH', KEYS[1], '') end`, '1', channel)
  // The first ring leads to a look at once, all that come in the next 50 ms to one more.
  await vi.waitFor(() => expect(statements).toBeGreaterThanOrEqual(1), { interval: 5, timeout: 10_000 })
  await sleep(200)
  const windows = Math.ceil((performance.now() - began) / 50)
  expect(statements).toBeLessThanOrEqual(windows + 3)
  expect(vault.changes.generation).toBe(generation)
})

test('in a Redis Cluster a ring reaches a process whatever node it is on', async () => {
  const cluster = await startRedisCluster()
  onTestFinished(() => cluster.discard())
  const at = await database()
  const one = await vaultOn(at, cluster.url)
  await addProviderKey(one, 'main')
  const others = await Promise.all([0, 1, 2].map(() => vaultOn(at, cluster.url)))
  const channel = `latchkey:${one.deploymentId}:changes`
  await vi.waitFor(
    async () => {
      const counts = await Promise.all(cluster.nodes.map((node) => node.command('PUBSUB', 'NUMSUB', channel)))
      const sum = counts.reduce<number>(
        (total, answer) => total + (Array.isArray(answer) ? Number(answer[1]) : 0),
        0,
      )
      expect(sum).toBe(4)
    },
    { interval: 20, timeout: 10_000 },
  )
  for (const other of others)
    expect(await bestOfThree(500, () => revocationTakes(one, other))).toBeLessThan(500)
})
