import { availableParallelism } from 'node:os'
import { findTool } from './tools.ts'

/** Which cores the measured gateway runs on, and which the load and the provider. Null: wherever they like. */
export interface Cores {
  readonly gateway: string | null
  readonly load: string | null
}

/** One core for the gateway and all it starts, the others for the rest. Nothing is pinned without `taskset` or on one core. */
export function chooseCores(): Cores {
  const cores = availableParallelism()
  if (findTool('taskset') === null || cores < 2) return { gateway: null, load: null }
  return { gateway: '0', load: cores === 2 ? '1' : `1-${cores - 1}` }
}

/** A command and its arguments, to be run on `core`. */
export function onCore(core: string | null, command: readonly string[]): readonly string[] {
  return core === null ? command : ['taskset', '-c', core, ...command]
}
