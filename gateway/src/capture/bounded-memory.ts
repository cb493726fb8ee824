import type { CaptureMemory } from './captured-body.ts'

/** Capture memory with an upper bound. */
export class BoundedMemory implements CaptureMemory {
  readonly #most: number
  #taken = 0
  #refused = 0

  constructor(mostBytes: number) {
    this.#most = mostBytes
  }

  /** Bytes that are taken now. */
  get taken(): number {
    return this.#taken
  }

  /** How often there was no room. */
  get refused(): number {
    return this.#refused
  }

  take(bytes: number): boolean {
    if (this.#taken + bytes > this.#most) {
      this.#refused += 1
      return false
    }
    this.#taken += bytes
    return true
  }

  give(bytes: number): void {
    this.#taken -= bytes
  }
}
