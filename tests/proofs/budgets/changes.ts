import { formatUsd, nanoUsd } from '@latchkey/shared'
import { boundOf, plainAsk } from './ask.ts'
import { audit } from './audit.ts'
import type { Deployment, ProofKey } from './deployment.ts'
import { Dice } from './dice.ts'
import { Load, mixed } from './load.ts'
import { type Notes, plenty, type Surroundings, type Trial, trial } from './trial.ts'

/** What is leased may still be spent for so long once a limit is lowered. */
const recalledWithinMs = 30_000
/** How soon whoever was refused is served once there is room. */
const servedWithinMs = 5_000
const lanes = 16

/** Scenario 5, operators: a budget is lowered, raised, topped up, paused and resumed under load. */
export function changes(surroundings: Surroundings): Promise<Trial> {
  const { size, seed } = surroundings
  const count = size === 'full' ? 40 : 6
  const options = { name: `a budget is changed ${count} times under load`, allowance: { lowered: true } }
  return trial(surroundings, options, async (deployment, notes) => {
    const dice = new Dice(seed)
    const key = await deployment.mint('alice', { total: plenty })
    const load = new Load(deployment, notes, dice, mixed([key]), lanes)
    await expectServed(deployment, load, 'in the beginning')
    for (let change = 0; change < count; change++) {
      // The clients go on as before: each change finds requests in flight, and holds from then on.
      if (change % 2 === 0) {
        const what = await stop(deployment, dice, key)
        await expectNothingOut(deployment, notes, load, key, what)
      } else {
        const what = await resume(deployment, dice, key)
        await expectServed(deployment, load, what)
      }
      for (const violation of (await audit(deployment, { lowered: true })).violations)
        notes.expect(false, violation)
    }
    await load.stop()
  })
}

/** Does something after which the key may spend nothing more. */
async function stop(deployment: Deployment, dice: Dice, key: ProofKey): Promise<string> {
  switch (dice.below(3)) {
    case 0:
      await deployment.changeBudget(key, { status: 'paused' })
      return 'once its budget is paused'
    case 1: {
      const { settled } = await deployment.ledger.window('key', key.id)
      await deployment.limit(key, nanoUsd(settled / 2n))
      return 'once its limit is half of what is spent'
    }
    default: {
      const { limit } = await deployment.ledger.window('key', key.id)
      await deployment.changeBudget(key, { addUsd: `-${formatUsd(limit)}` })
      return 'once its limit is zero'
    }
  }
}

/** Does something after which it may. */
async function resume(deployment: Deployment, dice: Dice, key: ProofKey): Promise<string> {
  await deployment.changeBudget(key, { status: 'active' })
  const { settled, limit } = await deployment.ledger.window('key', key.id)
  const room = boundOf(plainAsk(key)) * BigInt(1_000 + dice.below(100_000))
  if (dice.chance(50)) {
    await deployment.limit(key, nanoUsd(settled + room))
    return 'once its limit is raised'
  }
  const lacking = settled > limit ? settled - limit : 0n
  await deployment.changeBudget(key, { addUsd: formatUsd(nanoUsd(lacking + room)) })
  return 'once its budget is topped up'
}

/** That what was leased comes back, and that nothing is spent after that. */
async function expectNothingOut(
  deployment: Deployment,
  notes: Notes,
  load: Load,
  key: ProofKey,
  what: string,
): Promise<void> {
  await deployment.until(
    `nothing is leased ${what}`,
    async () => (await deployment.ledger.window('key', key.id)).leased === 0n,
    recalledWithinMs,
  )
  const before = await deployment.ledger.window('key', key.id)
  load.forget()
  await deployment.until('the crowd is refused', async () => load.count('insufficient_quota') > 2 * lanes)
  const after = await deployment.ledger.window('key', key.id)
  notes.expect(load.count('200') === 0, `${load.count('200')} requests were served ${what}`)
  notes.expect(after.settled === before.settled && after.leased === 0n, `something was spent ${what}`)
}

async function expectServed(deployment: Deployment, load: Load, what: string): Promise<void> {
  load.forget()
  await deployment.until(`requests are served ${what}`, async () => load.count('200') > lanes, servedWithinMs)
}
