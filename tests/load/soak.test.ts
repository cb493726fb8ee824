import { expect, test } from 'vitest'
import { soak } from '../../bench/soak.ts'

test.skipIf(process.platform !== 'linux')(
  'mixed load with clients that leave is followed by what was before it: heap, buffers, sockets, timers and holds',
  { timeout: 300_000 },
  async () => {
    const { leaks, failed, sent } = await soak(20_000, () => {})
    expect(leaks).toEqual([])
    expect(failed).toBe(0)
    expect(sent).toBeGreaterThan(500)
  },
)
