import type { Spread } from './popularity.ts'

/** A deployment and its load. */
export interface Scene {
  readonly name: string
  readonly keys: number
  /** Over all processes. */
  readonly requestsPerSecond: number
  readonly processes: number
  /** How many of the processes are followed; all are alike, and what they share counts as if all were. */
  readonly followed: number
  readonly spread: Spread
  /** Whether the load balancer sends a key's requests to one process, or each to any. */
  readonly routing: 'any' | 'by-key'
  readonly keysPerGroup: number
  /** Changes of keys, groups or budgets, each of which makes every process read again what it uses. */
  readonly changesPerSecond: number
  /** Virtual seconds until the figures count. What went before is the start with nothing in memory. */
  readonly startSeconds: number
  readonly seconds: number
  /** For how long a request runs at the most, milliseconds; half as long on the average. */
  readonly requestMs: number
  /** Limits of keys; without them only their groups have some. */
  readonly keyLimits: boolean
  /** Milliseconds from sending a statement until its answer. */
  readonly roundTripMs: number
  /** Milliseconds of a core that argon2 takes, and how many run at once in a process. */
  readonly argon2: { readonly ms: number; readonly atOnce: number }
}

const usual = {
  keysPerGroup: 100,
  startSeconds: 330,
  seconds: 30,
  requestMs: 4_000,
  keyLimits: true,
  roundTripMs: 3,
  argon2: { ms: 16, atOnce: 1 },
} as const

const small = {
  ...usual,
  keys: 10_000,
  requestsPerSecond: 1_000,
  processes: 2,
  followed: 2,
  changesPerSecond: 0.02,
} as const

const large = {
  ...usual,
  keys: 1_000_000,
  requestsPerSecond: 100_000,
  processes: 100,
  followed: 1,
  changesPerSecond: 1,
} as const

/** The scenes of docs/scaling.md. */
export const scenes: readonly Scene[] = [
  { ...small, name: '10k keys, uniform', spread: 'uniform', routing: 'any' },
  { ...small, name: '10k keys, Zipf', spread: 'zipf', routing: 'any' },
  { ...small, name: '10k keys, Zipf, by key', spread: 'zipf', routing: 'by-key' },
  { ...large, name: '1M keys, uniform, by key', spread: 'uniform', routing: 'by-key' },
  { ...large, name: '1M keys, Zipf, by key', spread: 'zipf', routing: 'by-key' },
  { ...large, name: '1M keys, Zipf, any', spread: 'zipf', routing: 'any' },
]

/** Small enough for real engines on a real Postgres beside it. A statement takes as long as it does on two busy cores. */
export const checkedScene: Scene = {
  ...small,
  name: '1,000 keys, 1,000 requests a second, 2 processes',
  keys: 1_000,
  spread: 'uniform',
  routing: 'any',
  changesPerSecond: 0,
  startSeconds: 0,
  seconds: 10,
  roundTripMs: 10,
  // Keys are known: engines hold money, and verify nobody.
  argon2: { ms: 0, atOnce: Number.POSITIVE_INFINITY },
}
