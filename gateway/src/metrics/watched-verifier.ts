import type { RefusalReason, Verification, Verifier } from '@latchkey/vault'
import { Counts } from './counts.ts'
import type { Family } from './exposition.ts'

type Result = Exclude<Verification['kind'], 'refused'> | RefusalReason

const results = [
  'verified',
  'malformed',
  'bad-checksum',
  'wrong-type',
  'unknown',
  'tampered',
  'overloaded',
  'sealed',
  'unavailable',
] as const satisfies readonly Result[]

/** A verifier of tokens, with a count of what came of them and of how often the answer was at hand. */
export class WatchedVerifier implements Verifier {
  readonly #verifier: Verifier
  readonly #warm = new Counts<Result>(results)
  readonly #cold = new Counts<Result>(results)

  constructor(verifier: Verifier) {
    this.#verifier = verifier
  }

  lookup(token: string): Verification | undefined {
    const verification = this.#verifier.lookup(token)
    if (verification !== undefined) this.#warm.add(resultOf(verification))
    return verification
  }

  async verify(token: string): Promise<Verification> {
    const verification = await this.#verifier.verify(token)
    this.#cold.add(resultOf(verification))
    return verification
  }

  families(): readonly Family[] {
    const samples = (counts: Counts<Result>, path: string) =>
      counts.samples((result) => ({ path, result: result.replace('-', '_') }))
    return [
      {
        kind: 'counter',
        name: 'latchkey_verifications_total',
        help: 'Tokens by what they were found to be: warm at once, from memory; cold from the database.',
        samples: [...samples(this.#warm, 'warm'), ...samples(this.#cold, 'cold')],
      },
    ]
  }
}

function resultOf(verification: Verification): Result {
  return verification.kind === 'refused' ? verification.reason : verification.kind
}
