import type { RandomBytes } from '@latchkey/shared'
import { type Faults, noFaults, parseFaults } from './faults.ts'
import type { SimulatorOptions } from './options.ts'

const mostRemembered = 10_000

/** Decides which faults a request gets: those that its header asks for, else random ones by the rate. */
export class FaultSource {
  readonly #rate: number
  readonly #kinds: readonly Faults[]
  readonly #random: RandomBytes
  readonly #uses = new Map<string, number>()

  constructor(options: SimulatorOptions, random: RandomBytes) {
    this.#rate = options.faultKinds.length === 0 ? 0 : options.faultRate
    this.#kinds = options.faultKinds.map(parseFaults)
    this.#random = random
  }

  /** `asked` are the faults of `header`, the request's `x-simulator-fault`, where it has one. */
  choose(header: string | undefined, asked: Faults): Faults {
    if (header === undefined) return this.#rate === 0 ? noFaults : this.#draw()
    if (asked.first === null) return asked
    const uses = (this.#uses.get(header) ?? 0) + 1
    this.#uses.delete(header)
    this.#uses.set(header, uses)
    if (this.#uses.size > mostRemembered)
      for (const oldest of this.#uses.keys()) {
        this.#uses.delete(oldest)
        break
      }
    return uses <= asked.first ? asked : noFaults
  }

  #draw(): Faults {
    const bytes = Buffer.from(this.#random(8))
    if (bytes.readUInt32BE(0) / 2 ** 32 >= this.#rate) return noFaults
    return this.#kinds[bytes.readUInt32BE(4) % this.#kinds.length] ?? noFaults
  }
}
