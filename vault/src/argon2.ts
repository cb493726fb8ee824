import { argon2 } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Secret } from '@latchkey/shared'
import type { Pepper } from './pepper.ts'

/** OWASP's second choice for argon2id: 19 MiB, two passes, one lane. */
const cost = { memory: 19_456, passes: 2, parallelism: 1, tagLength: 32 } as const
/** Bytes of the salt that stands beside a verifier. */
export const verifierSaltLength = 16

export interface Argon2Ask {
  /** The secret part of a token. */
  readonly secret: Secret
  readonly salt: Uint8Array
  readonly pepper: Pepper
}

export type Argon2Result =
  | { readonly kind: 'derived'; readonly tag: Buffer }
  /** As many callers wait as may wait. */
  | { readonly kind: 'overloaded' }

export interface Argon2Limits {
  /** How many run at once. */
  readonly concurrency: number
  /** How many may wait beside those that run. */
  readonly queue: number
}

/**
 * One per core, but never all of libuv's four threads: file reads and name lookups need them too. The
 * queue holds about four seconds of work on two cores, for a room of people who all start at once.
 */
export const defaultArgon2Limits: Argon2Limits = {
  concurrency: Math.max(1, Math.min(availableParallelism(), 3)),
  queue: 512,
}

/** Runs argon2id, which costs 20 ms and 19 MiB a time: few at once, a bounded queue, first come first. */
export class Argon2Guard {
  readonly #limits: Argon2Limits
  readonly #flights = new Map<string, Promise<Argon2Result>>()
  readonly #waiting: (() => void)[] = []
  #running = 0
  #runs = 0

  constructor(limits: Argon2Limits = defaultArgon2Limits) {
    this.#limits = limits
  }

  /** How often argon2 has been started in this process. */
  get runs(): number {
    return this.#runs
  }

  /** How many wait now. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Derives the verifier of `ask`. Callers with the same `flight` share one run. Throws `vault_sealed`. */
  derive(flight: string, ask: Argon2Ask): Promise<Argon2Result> {
    const shared = this.#flights.get(flight)
    if (shared !== undefined) return shared
    const run = this.#run(ask).finally(() => this.#flights.delete(flight))
    this.#flights.set(flight, run)
    return run
  }

  async #run(ask: Argon2Ask): Promise<Argon2Result> {
    if (this.#running < this.#limits.concurrency) this.#running += 1
    else if (this.#waiting.length >= this.#limits.queue) return { kind: 'overloaded' }
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return { kind: 'derived', tag: await this.#derive(ask) }
    } finally {
      // The slot goes to the next in line without being free in between, so that nobody can jump in.
      const next = this.#waiting.shift()
      if (next === undefined) this.#running -= 1
      else next()
    }
  }

  #derive({ secret, salt, pepper }: Argon2Ask): Promise<Buffer> {
    const parameters = { message: secret.reveal(), nonce: salt, secret: pepper.argon2Secret(), ...cost }
    this.#runs += 1
    return new Promise((resolve, reject) => {
      argon2('argon2id', parameters, (error, tag) => (error ? reject(error) : resolve(tag)))
    })
  }
}
