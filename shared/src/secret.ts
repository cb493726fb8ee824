import { inspect } from 'node:util'

/**
 * A value that cannot be printed by accident: `toString`, `toJSON` and `util.inspect` all give
 * `[secret]`. `reveal()` is the only way out, and `grep -rn 'reveal('` is the audit of its uses.
 */
export class Secret<Value extends string | Uint8Array = string> {
  readonly #value: Value

  constructor(value: Value) {
    this.#value = value
  }

  /** The value itself. Call it in the line that needs it and keep the result in no field. */
  reveal(): Value {
    return this.#value
  }

  /** Overwrites a secret of bytes with zeros. A string can't be overwritten in JavaScript. */
  wipe(): void {
    if (typeof this.#value !== 'string') this.#value.fill(0)
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
