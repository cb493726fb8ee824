import type { RandomBytes } from '@latchkey/shared'
import { seededRandom } from '../../../gateway/src/simulator/seeded-random.ts'

/** Chance that can be repeated: the same seed throws the same. */
export class Dice {
  readonly #random: RandomBytes

  constructor(seed: number) {
    this.#random = seededRandom(seed)
  }

  /** A whole number from 0 to `most`, without it. */
  below(most: number): number {
    const bytes = this.#random(4)
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) % most
  }

  /** Whether something happens that does so in `percent` of all cases. */
  chance(percent: number): boolean {
    return this.below(100) < percent
  }

  pick<Value>(values: readonly [Value, ...Value[]]): Value {
    return values[this.below(values.length)] ?? values[0]
  }
}
