import type { EpochId } from '@latchkey/shared'
import type { LiveEpoch } from './epoch.ts'

interface Sighting {
  readonly counter: bigint
  /** When the counter was first seen as it is, monotonic milliseconds. */
  readonly since: number
}

/**
 * What one process has itself seen of the others' heartbeats. An epoch is dead only when its counter has stood
 * still through an unbroken series of looks: whoever slept, or was cut off, starts to watch anew.
 */
export class Sightings {
  readonly #deadAfterMs: number
  readonly #longestGapMs: number
  #seen = new Map<EpochId, Sighting>()
  #lastLook: number | null = null

  constructor(deadAfterMs: number, longestGapMs: number) {
    this.#deadAfterMs = deadAfterMs
    this.#longestGapMs = longestGapMs
  }

  /** Looks at the epochs that have not ended, at `now` (monotonic). Returns those that are dead. */
  look(live: readonly LiveEpoch[], now: number): readonly LiveEpoch[] {
    if (this.#lastLook !== null && now - this.#lastLook > this.#longestGapMs) this.#seen.clear()
    this.#lastLook = now
    const dead: LiveEpoch[] = []
    const seen = new Map<EpochId, Sighting>()
    for (const epoch of live) {
      const known = this.#seen.get(epoch.id)
      const sighting = known?.counter === epoch.counter ? known : { counter: epoch.counter, since: now }
      seen.set(epoch.id, sighting)
      if (now - sighting.since >= this.#deadAfterMs) dead.push(epoch)
    }
    this.#seen = seen
    return dead
  }

  /** The connection broke: nothing that was seen before it counts. */
  forget(): void {
    this.#seen.clear()
    this.#lastLook = null
  }
}
