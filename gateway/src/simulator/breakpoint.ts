import type { Answer } from './answer.ts'
import type { Breakage } from './faults.ts'

/** Where the body of an answer breaks off, and what the connection does there. */
export interface Breakpoint {
  readonly afterPieces: number
  readonly afterBytes: number
  readonly ending: 'close' | 'reset' | 'silence'
}

/** Where `breakage` breaks `answer`; null where it does not touch the body. */
export function breakpointOf(breakage: Breakage, answer: Answer): Breakpoint | null {
  switch (breakage.kind) {
    case 'none':
    case 'status':
    case 'hang-headers':
    case 'reset-before-headers':
      return null
    case 'hang':
      return { ...firstPart(answer), ending: 'silence' }
    case 'reset':
      return { ...firstPart(answer), ending: 'reset' }
    case 'cut': {
      const events = breakage.unit === 'events' && isStream(answer)
      return {
        afterPieces: events ? breakage.after : Number.POSITIVE_INFINITY,
        afterBytes: events ? Number.POSITIVE_INFINITY : breakage.after,
        ending: 'close',
      }
    }
    default:
      return breakage satisfies never
  }
}

function isStream(answer: Answer): boolean {
  return answer.kind === 'pieces' && answer.length === null
}

function firstPart(answer: Answer): Omit<Breakpoint, 'ending'> {
  if (answer.kind === 'whole')
    return {
      afterPieces: Number.POSITIVE_INFINITY,
      afterBytes: Math.floor(Buffer.byteLength(answer.body) / 2),
    }
  return { afterPieces: 1, afterBytes: Number.POSITIVE_INFINITY }
}
