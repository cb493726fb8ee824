import { LatchkeyError } from './errors.ts'

/**
 * Reads the parts of a URL that an environment variable holds. What can't be used is refused with `invalid_config`, by a
 * message that names the variable and quotes nothing of the URL but names of parameters: there is a password in it.
 */
export class UrlSetting {
  readonly #variable: string

  constructor(variable: string) {
    this.#variable = variable
  }

  /** The fault to throw. `why` ends a sentence, without its full stop. */
  invalid(why: string): LatchkeyError {
    return new LatchkeyError('invalid_config', {
      message: `${this.#variable} can't be used: ${why}.`,
      param: this.#variable,
    })
  }

  /** A part without its percent-encoding. */
  decode(text: string): string {
    try {
      return decodeURIComponent(text)
    } catch {
      throw this.invalid('a percent sign in it begins no encoded character')
    }
  }

  /** The parameters by name, of which each must be one of `known` and stand once. */
  parameters(query: URLSearchParams, known: readonly string[]): ReadonlyMap<string, string> {
    const parameters = new Map<string, string>()
    for (const [name, value] of query) {
      if (!known.includes(name) || parameters.has(name)) {
        const shown = /^[A-Za-z_]{1,32}$/.test(name) ? `"${name}"` : 'one'
        const list = known.length === 0 ? 'None is known' : `Known are ${known.join(', ')}`
        throw this.invalid(`of its parameters, ${shown} is unknown or stands twice. ${list}`)
      }
      parameters.set(name, value)
    }
    return parameters
  }
}
