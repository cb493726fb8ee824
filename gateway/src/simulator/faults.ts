import { LatchkeyError } from '@latchkey/shared'

/** How an answer is broken. At most one; docs/simulator.md explains each. */
export type Breakage =
  | { readonly kind: 'none' }
  /** Answers with an error of this status in place of the answer. */
  | { readonly kind: 'status'; readonly status: number; readonly retryAfterSeconds: number | null }
  /** Reads the request and never answers. */
  | { readonly kind: 'hang-headers' }
  /** Sends headers and the first part of the body, then nothing more. */
  | { readonly kind: 'hang' }
  | { readonly kind: 'reset-before-headers' }
  /** Sends headers and the first part of the body, then resets the connection. */
  | { readonly kind: 'reset' }
  /** Closes the connection after this much of the body, without ending the body. */
  | { readonly kind: 'cut'; readonly after: number; readonly unit: 'events' | 'bytes' }

/** Which usage the answer states. */
export type UsageReport =
  | { readonly kind: 'true' }
  | { readonly kind: 'omitted' }
  | { readonly kind: 'lie'; readonly outputTokens: number }

/** How the body travels: at the pace of the options, with a pause before each part, or byte by byte. */
export type Travel =
  | { readonly kind: 'paced' }
  | { readonly kind: 'slow'; readonly pauseMs: number }
  | { readonly kind: 'trickle' }

/** What is wrong with one answer. */
export interface Faults {
  readonly breakage: Breakage
  readonly usage: UsageReport
  readonly travel: Travel
  /** Whether the output cap that the client set is ignored. */
  readonly ignoresCap: boolean
  /** Only so many requests with this very header get the faults, later ones a proper answer; null: all. */
  readonly first: number | null
}

export const noFaults: Faults = Object.freeze<Faults>({
  breakage: { kind: 'none' },
  usage: { kind: 'true' },
  travel: { kind: 'paced' },
  ignoresCap: false,
  first: null,
})

/**
 * Reads faults as the `x-simulator-fault` header and the `faultKinds` option spell them: directives
 * separated by `;`, such as `status=500;retry-after=1` or `omit-usage;cut=3`. Throws `invalid_request`.
 */
export function parseFaults(text: string): Faults {
  let faults: Faults = noFaults
  let retryAfterSeconds: number | null = null
  for (const directive of text.split(';')) {
    const [name = '', value] = directive.trim().split('=', 2)
    switch (name) {
      case 'status':
        faults = broken(faults, {
          kind: 'status',
          status: whole(name, value, 400, 599),
          retryAfterSeconds: null,
        })
        break
      case 'retry-after':
        retryAfterSeconds = whole(name, value, 0, 86_400)
        break
      case 'hang':
      case 'hang-headers':
      case 'reset':
      case 'reset-before-headers':
        bare(name, value)
        faults = broken(faults, { kind: name })
        break
      case 'cut':
        faults = broken(faults, parseCut(value))
        break
      case 'omit-usage':
        bare(name, value)
        faults = { ...faults, usage: { kind: 'omitted' } }
        break
      case 'lie-usage':
        faults = { ...faults, usage: { kind: 'lie', outputTokens: whole(name, value, 0, 1e9) } }
        break
      case 'ignore-cap':
        bare(name, value)
        faults = { ...faults, ignoresCap: true }
        break
      case 'slow':
        faults = { ...faults, travel: { kind: 'slow', pauseMs: whole(name, value, 0, 600_000) } }
        break
      case 'trickle':
        bare(name, value)
        faults = { ...faults, travel: { kind: 'trickle' } }
        break
      case 'first':
        faults = { ...faults, first: whole(name, value, 1, 1e6) }
        break
      default:
        throw new LatchkeyError('invalid_request', {
          message: 'A fault is not known. docs/simulator.md lists them.',
          param: 'x-simulator-fault',
        })
    }
  }
  if (retryAfterSeconds === null) return faults
  if (faults.breakage.kind !== 'status') throw badDirective('retry-after', 'goes with status=')
  return { ...faults, breakage: { ...faults.breakage, retryAfterSeconds } }
}

function broken(faults: Faults, breakage: Breakage): Faults {
  if (faults.breakage.kind !== 'none')
    throw badDirective(breakage.kind, 'is the second way to break the answer')
  return { ...faults, breakage }
}

function parseCut(value: string | undefined): Breakage {
  if (value?.endsWith('bytes'))
    return { kind: 'cut', after: whole('cut', value.slice(0, -'bytes'.length), 0, 1e9), unit: 'bytes' }
  return { kind: 'cut', after: whole('cut', value, 0, 1e9), unit: 'events' }
}

function whole(name: string, value: string | undefined, least: number, most: number): number {
  const number = Number(value)
  if (value === undefined || !/^\d{1,10}$/.test(value) || number < least || number > most)
    throw badDirective(name, `takes a whole number from ${least} to ${most}`)
  return number
}

function bare(name: string, value: string | undefined): void {
  if (value !== undefined) throw badDirective(name, 'takes no value')
}

function badDirective(name: string, what: string): LatchkeyError {
  return new LatchkeyError('invalid_request', {
    message: `The fault "${name}" ${what}.`,
    param: 'x-simulator-fault',
  })
}
