import { inspect } from 'node:util'

/**
 * A value that cannot be printed by accident: `toString`, `toJSON` and `util.inspect` all give
 * `[secret]`. `reveal()` is the only way out, and `grep -rn 'reveal('` is the audit of its uses.
 */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The value itself. Call it in the line that needs it and keep the result in no field. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [Symbol.toPrimitive](): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}
