import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { expect, test, vi } from 'vitest'
import { measure } from '../../bench/measure.ts'
import { usageOf } from '../../bench/processes.ts'
import { withScene } from '../../bench/scene.ts'
import { type Workload, workloads } from '../../bench/workloads.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Processes start in every one of them.
vi.setConfig({ testTimeout: 120_000 })

function workload(name: string): Workload {
  const found = workloads.find((one) => one.name === name)
  if (found === undefined) throw new Error(`there is no workload ${name}`)
  return found
}

test.skipIf(process.platform !== 'linux')('the CPU time of a process and its memory are told', () => {
  const before = usageOf([process.pid])
  const until = performance.now() + 200
  while (performance.now() < until) Math.sqrt(until)
  const after = usageOf([process.pid])
  expect(after.cpuMs - before.cpuMs).toBeGreaterThanOrEqual(20)
  expect(after.memory).toBeGreaterThan(2 ** 20)
})

test.skipIf(process.platform !== 'linux')(
  'streams and steady requests are counted through a gateway, with what they cost it',
  async () => {
    await withScene({ targets: new Set(['bare']), nodeOptions: '', say: () => {} }, async (scene) => {
      const [bare] = scene.targets
      if (bare === undefined) throw new Error('bare does not run')
      const target = { ...bare, keys: null }
      const streams = await measure(scene.instruments, workload('paced-64'), target, 4)
      // 64 streams of 100 events a second, on a machine that may be busy.
      expect(streams.unitsPerSecond).toBeGreaterThan(3000)
      expect(streams.unitsPerSecond).toBeLessThan(8000)
      expect(streams.cpu).toBeGreaterThan(0)
      expect(streams.failed).toBe(0)
      const steady = await measure(scene.instruments, workload('rate'), target, 1)
      expect(steady.unitsPerSecond).toBeGreaterThan(250)
      expect(steady.p50).toBeGreaterThan(50)
      expect(steady.failed).toBe(0)
    })
  },
)

test.skipIf(process.platform !== 'linux')(
  'the floor answers, and writes a record of each request',
  async () => {
    await withScene({ targets: new Set(['floor']), nodeOptions: '', say: () => {} }, async (scene) => {
      const [floor] = scene.targets
      if (floor === undefined) throw new Error('the floor does not run')
      const { instruments } = scene
      const steady = await measure(instruments, workload('rate'), { ...floor, keys: null }, 1)
      expect(steady.failed).toBe(0)
      const ready = readFileSync(join(instruments.directory, 'floor/postgres/ready.json'), 'utf8')
      const client = new pg.Client(JSON.parse(ready))
      await client.connect()
      try {
        const written = async () =>
          Number((await client.query('SELECT count(*) FROM request WHERE input_tokens > 0')).rows[0].count)
        await expect.poll(written).toBeGreaterThan(250)
      } finally {
        await client.end()
      }
    })
  },
)

test.skipIf(process.platform !== 'linux')(
  'a target that does not start is missing, with its reason, and holds up no other',
  async () => {
    // No go, and no peer that an earlier run has installed.
    vi.stubEnv('PATH', '/nonexistent')
    vi.stubEnv('TMPDIR', temporaryDirectory())
    try {
      const options = { targets: new Set(['bare', 'bifrost']), nodeOptions: '', say: () => {} }
      const { targets, missing } = await withScene(options, async (scene) => scene)
      expect(targets.map(({ name }) => name)).toEqual(['bare'])
      expect(missing).toHaveLength(1)
      expect(missing[0]?.names).toEqual(['bifrost'])
      expect(missing[0]?.reason).toContain('go install')
    } finally {
      vi.unstubAllEnvs()
    }
  },
)
