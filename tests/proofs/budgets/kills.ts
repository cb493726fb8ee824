import { setTimeout as sleep } from 'node:timers/promises'
import { parseUsd, releasedBudgetWire } from '@latchkey/shared'
import { audit } from './audit.ts'
import type { Deployment, ProofKey } from './deployment.ts'
import { Dice } from './dice.ts'
import { admitsExactly } from './exhaust.ts'
import { Load, mixed } from './load.ts'
import { type Notes, plenty, type Surroundings, type Trial, trial } from './trial.ts'

/** A dead process's epoch is watched for a minute before it is ended. */
const sweptWithinMs = 150_000
const settings = { LATCHKEY_TOTAL_TIMEOUT_MS: '5000' }

/** Scenario 4: kill -9 at random moments under load. */
export async function kills(surroundings: Surroundings): Promise<readonly Trial[]> {
  const { kills: count, processes, size, seed, say } = surroundings
  const options = { name: `kill -9 under load, ${count} times`, allowance: { released: true }, settings }
  const done = await trial(surroundings, options, async (deployment, notes) => {
    const group = await deployment.group('everyone', plenty)
    const keys = [
      await deployment.mint('alice', { total: plenty, group }),
      await deployment.mint('bob', { total: plenty, group, fit: 'clamp' }),
    ] as const
    const dice = new Dice(seed)
    const load = new Load(deployment, notes, dice, mixed(keys))
    for (let kill = 1; kill <= count; kill++) {
      await untilStruck(deployment, dice, load)
      const victim = await deployment.gateway(dice.below(1000))
      await victim.kill()
      await deployment.replace(victim)
      const { violations } = await audit(deployment)
      for (const violation of violations) notes.expect(false, `after kill ${kill}: ${violation}`)
      if (kill % 10 === 0) say(`  ${kill} kills, ${load.count('200')} requests served`)
    }
    await load.stop()
    notes.expect(
      load.count('200') > count,
      `only ${load.count('200')} requests were served between ${count} kills`,
    )
    await deployment.quiet()
    if (processes > 1 && size === 'quick') return
    await swept(deployment, processes)
    const { violations } = await audit(deployment)
    notes.violations.push(...violations)
    await admitsExactly(deployment, notes, keys[0], 5)
    await release(deployment, notes, keys[0])
    await admitsExactly(deployment, notes, keys[0], 5)
  })
  return [done]
}

/** Resolves at a random moment: mostly when the load is under way again, sometimes before anything is served. */
async function untilStruck(deployment: Deployment, dice: Dice, load: Load): Promise<void> {
  const served = load.count('200') + (dice.chance(80) ? 1 + dice.below(100) : 0)
  await deployment.until('requests are served between two kills', async () => load.count('200') >= served)
  await sleep(dice.below(300))
}

/** Resolves when no lease of a process that is dead is open any more. */
export function swept(deployment: Deployment, processes: number): Promise<void> {
  return deployment.until(
    'what dead processes had leased is swept',
    async () => {
      const { live, orphans } = await deployment.ledger.epochs()
      return live === processes && orphans === 0
    },
    sweptWithinMs,
  )
}

/** Releases what dead processes left behind of a key's budget, as an operator does it once their requests are over. */
async function release(deployment: Deployment, notes: Notes, key: ProofKey): Promise<void> {
  const { budget, unsettled } = await deployment.ledger.window('key', key.id)
  notes.expect(unsettled > 0n, 'nothing is unsettled after all these kills')
  let released = 0n
  await deployment.until('what is unsettled can be released', async () => {
    const answer = releasedBudgetWire.parse(await deployment.admin('POST', `/budgets/${budget}/release`, {}))
    released += parseUsd(answer.releasedUsd) ?? 0n
    return answer.waitingUsd === '0'
  })
  notes.expect(released === unsettled, `${released} of ${unsettled} nano-dollars were released`)
}
