import type { IncomingHttpHeaders } from 'node:http'
import { LatchkeyError } from '@latchkey/shared'
import { type Faults, noFaults, parseFaults } from './faults.ts'
import { mostLatencyMs, mostPace, mostTokens, type SimulatorOptions } from './options.ts'

/** How one request is to be answered: the options, changed by the request's `x-simulator-*` headers. */
export interface Directions {
  readonly faults: Faults
  readonly latencyMs: number
  readonly tokens: number
  readonly pace: number
  readonly chunkTokens: number
  /** How many input tokens to report and to bill; null: as many as were counted. */
  readonly inputTokens: number | null
  /** How many input tokens to report as read from a prompt cache, at most all of them. */
  readonly cachedTokens: number
}

/** Directions where no header says anything. */
export function defaultDirections(options: SimulatorOptions): Directions {
  const { latencyMs, tokens, pace, chunkTokens } = options
  return Object.freeze({
    faults: noFaults,
    latencyMs,
    tokens,
    pace,
    chunkTokens,
    inputTokens: null,
    cachedTokens: 0,
  })
}

/** Reads the `x-simulator-*` headers of a request. Throws `invalid_request`, naming the header. */
export function readDirections(headers: IncomingHttpHeaders, defaults: Directions): Directions {
  const fault = headers['x-simulator-fault']
  return {
    faults: typeof fault === 'string' ? parseFaults(fault) : defaults.faults,
    latencyMs: whole(headers, 'x-simulator-latency', 0, mostLatencyMs) ?? defaults.latencyMs,
    tokens: whole(headers, 'x-simulator-tokens', 1, mostTokens) ?? defaults.tokens,
    pace: whole(headers, 'x-simulator-pace', 0, mostPace) ?? defaults.pace,
    chunkTokens: whole(headers, 'x-simulator-chunk', 1, mostTokens) ?? defaults.chunkTokens,
    inputTokens: whole(headers, 'x-simulator-input', 1, 1e9) ?? defaults.inputTokens,
    cachedTokens: whole(headers, 'x-simulator-cached', 0, 1e9) ?? defaults.cachedTokens,
  }
}

function whole(headers: IncomingHttpHeaders, name: string, least: number, most: number): number | null {
  const value = headers[name]
  if (value === undefined) return null
  const number = Number(value)
  if (typeof value === 'string' && /^\d{1,10}$/.test(value) && number >= least && number <= most)
    return number
  throw new LatchkeyError('invalid_request', {
    message: `The header ${name} takes a whole number from ${least} to ${most}.`,
    param: name,
  })
}
