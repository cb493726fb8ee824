import { LatchkeyError } from '@latchkey/shared'
import { parseFaults } from './faults.ts'

/** How a simulator behaves where a request's own headers do not say otherwise. */
export interface SimulatorOptions {
  /** What the paths of the API begin with; empty or `/…` without a slash at its end. */
  readonly basePath: string
  /** Whether a request without a bearer key is refused. Which key it is never matters. */
  readonly requireKey: boolean
  /** Milliseconds from the end of the request to the first byte of the answer. */
  readonly latencyMs: number
  /** Tokens of an answer, reasoning included, where the request's own cap is not lower. */
  readonly tokens: number
  /** Output tokens per second of a stream; 0 is as fast as possible. */
  readonly pace: number
  /** Tokens in one event of a stream. */
  readonly chunkTokens: number
  /** The share of requests, 0 to 1, that get one of `faultKinds`. */
  readonly faultRate: number
  /** Faults to choose from, spelled as in the `x-simulator-fault` header. */
  readonly faultKinds: readonly string[]
  /** Makes ids, texts and random faults repeatable; null: different at every start. */
  readonly seed: number | null
  /** How many single entries the books keep; totals are exact without them. */
  readonly maxEntries: number
  /** The longest JSON body, in bytes. */
  readonly maxJsonBytes: number
}

/** Options as they come: what is missing or undefined takes its default. */
export type SimulatorSettings = {
  readonly [Name in keyof SimulatorOptions]?: SimulatorOptions[Name] | undefined
}

export const defaultOptions: SimulatorOptions = Object.freeze({
  basePath: '/v1',
  requireKey: true,
  latencyMs: 0,
  tokens: 50,
  pace: 0,
  chunkTokens: 1,
  faultRate: 0,
  faultKinds: Object.freeze(['status=429;retry-after=1', 'status=500', 'status=503', 'cut=5', 'reset']),
  seed: null,
  maxEntries: 100_000,
  maxJsonBytes: 64 * 1024 * 1024,
})

/** The most tokens of one answer. */
export const mostTokens = 1_000_000
/** The longest wait that an option or a header may ask for. */
export const mostLatencyMs = 600_000
export const mostPace = 1_000_000

/** Checks `settings` and fills in the defaults. Throws `invalid_config`, naming the option. */
export function parseOptions(settings: SimulatorSettings): SimulatorOptions {
  const faultKinds = settings.faultKinds ?? defaultOptions.faultKinds
  return Object.freeze({
    basePath: basePath(settings.basePath ?? defaultOptions.basePath),
    requireKey: settings.requireKey ?? defaultOptions.requireKey,
    latencyMs: within('latencyMs', settings.latencyMs ?? defaultOptions.latencyMs, 0, mostLatencyMs),
    tokens: whole('tokens', settings.tokens ?? defaultOptions.tokens, 1, mostTokens),
    pace: within('pace', settings.pace ?? defaultOptions.pace, 0, mostPace),
    chunkTokens: whole('chunkTokens', settings.chunkTokens ?? defaultOptions.chunkTokens, 1, mostTokens),
    faultRate: within('faultRate', settings.faultRate ?? defaultOptions.faultRate, 0, 1),
    faultKinds: Object.freeze(faultKinds.map(checkedFaults)),
    seed: settings.seed == null ? null : whole('seed', settings.seed, 0, 0xffffffff),
    maxEntries: whole('maxEntries', settings.maxEntries ?? defaultOptions.maxEntries, 0, 10_000_000),
    maxJsonBytes: whole('maxJsonBytes', settings.maxJsonBytes ?? defaultOptions.maxJsonBytes, 1, 2 ** 30),
  })
}

function basePath(path: string): string {
  if (path === '' || /^(?:\/[0-9A-Za-z._~-]+)+$/.test(path)) return path
  throw badOption('basePath', 'empty, or segments such as /v1')
}

function checkedFaults(text: string): string {
  try {
    parseFaults(text)
    return text
  } catch (cause) {
    throw badOption('faultKinds', 'faults as docs/simulator.md lists them', cause)
  }
}

function within(name: string, value: number, least: number, most: number): number {
  if (value >= least && value <= most) return value
  throw badOption(name, `a number from ${least} to ${most}`)
}

function whole(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value)) return within(name, value, least, most)
  throw badOption(name, `a whole number from ${least} to ${most}`)
}

function badOption(name: string, wanted: string, cause?: unknown): LatchkeyError {
  return new LatchkeyError('invalid_config', {
    message: `The simulator's option ${name} must be ${wanted}.`,
    param: name,
    cause,
  })
}
