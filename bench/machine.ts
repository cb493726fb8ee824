import { availableParallelism, cpus, release, totalmem } from 'node:os'
import type { Cores } from './cores.ts'

/** What a run was made on. Figures of another machine are not to be compared with. */
export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryGib: number
  readonly system: string
  readonly node: string
  /** Which cores had which part. */
  readonly pinned: string
}

/** This machine. */
export function describeMachine({ gateway, load }: Cores): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    node: process.version,
    pinned:
      gateway === null || load === null
        ? 'nothing is pinned'
        : `gateway with its database on core ${gateway}, provider and load on ${load}`,
  }
}
