import type { Surroundings, Trial } from '../proofs/budgets/trial.ts'

/** A proof starts processes, and the machine may be busy with other tests. */
export const patient = { timeout: 240_000 }

/** What a scenario of the proof finds wrong, in its small size. `npm run prove-budgets` runs all of them in full. */
export async function violationsOf(
  run: (surroundings: Surroundings) => Promise<Trial | readonly Trial[]>,
  processes: 1 | 2 | 3,
): Promise<readonly string[]> {
  const trials = await run({ size: 'quick', seed: 1, kills: 3, processes, say: () => undefined })
  return [trials]
    .flat()
    .flatMap(({ name, violations }) => violations.map((violation) => `${name}: ${violation}`))
}
