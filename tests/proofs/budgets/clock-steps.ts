import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nanoUsd } from '@latchkey/shared'
import { boundOf, plainAsk } from './ask.ts'
import { audit } from './audit.ts'
import type { Deployment, ProofKey } from './deployment.ts'
import { Dice } from './dice.ts'
import { Load } from './load.ts'
import { type Notes, plenty, type Surroundings, type Trial, trial } from './trial.ts'

const hour = 3_600
/** From half past ten to 23:30, over midnight, back over it, to 22:30, and over midnight once more. */
const databaseSteps = { quick: [2 * hour, -hour], full: [hour, hour, -hour, -hour, 2 * hour] } as const
const wallOffsets = { quick: [hour, -hour], full: [hour, 0, -hour, 0] } as const
const lanes = 4
const latencyMs = 10
/** So small that leases hold a few requests, and more has to be fetched all the time. */
const dayPays = 4_000
/** Requests that are served between two steps: leases have to be fetched for them. */
const between = 60

/** Scenario 5, clocks: the database's jumps by an hour, over midnight too, on and back. */
export function databaseClockSteps(surroundings: Surroundings): Promise<Trial> {
  const options = {
    name: 'the database’s clock steps by an hour',
    database: 'shared',
    clock: '2027-02-28T22:30:00Z',
  } as const
  return trial(surroundings, options, async (deployment, notes) => {
    const key = await mintDaily(deployment)
    const load = new Load(
      deployment,
      notes,
      new Dice(surroundings.seed),
      () => ({ ...plainAsk(key), latencyMs }),
      lanes,
    )
    for (const step of databaseSteps[surroundings.size]) {
      await deployment.clock.step(step)
      await expectService(deployment, notes, load, `the database's clock has stepped by ${step} s`)
    }
    await load.stop()
  })
}

/** Scenario 5, clocks: those of the gateways' machines jump by an hour; time itself goes on. */
export async function wallClockSteps(surroundings: Surroundings): Promise<Trial> {
  const directory = mkdtempSync(join(realpathSync(tmpdir()), 'latchkey-proof-'))
  const file = join(directory, 'offset')
  const preload = fileURLToPath(new URL('./stepped-wall-clock.ts', import.meta.url))
  const options = {
    name: 'the gateways’ clocks step by an hour',
    settings: { NODE_OPTIONS: `--import=${preload}`, PROOF_CLOCK_FILE: file },
  }
  try {
    return await trial(surroundings, options, async (deployment, notes) => {
      const key = await mintDaily(deployment)
      const load = new Load(
        deployment,
        notes,
        new Dice(surroundings.seed),
        () => ({ ...plainAsk(key), latencyMs }),
        lanes,
      )
      for (const [index, seconds] of wallOffsets[surroundings.size].entries()) {
        writeFileSync(file, String(seconds * 1000))
        for (const gateway of deployment.gateways) {
          gateway.signal('SIGUSR2')
          await gateway.untilLogged('proof.clock_stepped', index + 1)
        }
        await expectService(deployment, notes, load, `the gateways' clocks are off by ${seconds} s`)
      }
      await load.stop()
      const { ended } = await deployment.ledger.epochs()
      notes.expect(ended === 0, 'a gateway was taken for dead because its clock was set')
    })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function mintDaily(deployment: Deployment): Promise<ProofKey> {
  const day = nanoUsd(boundOf(plainAsk({ id: '', token: '' })) * BigInt(dayPays))
  return deployment.mint('alice', { total: plenty, others: { day } })
}

/** That requests are served as before, at each gateway, and no other answer is given to any. */
async function expectService(deployment: Deployment, notes: Notes, load: Load, when: string): Promise<void> {
  const served = load.count('200')
  const beats = await countBeats(deployment)
  await deployment.until(
    `requests are served once ${when}`,
    async () => load.count('200') >= served + between,
  )
  // Each gateway hears of the database's clock with its next heartbeat at the latest.
  await deployment.until('each gateway has beaten since', async () => {
    const now = await countBeats(deployment)
    return now.length === beats.length && now.every((counter, index) => counter >= (beats[index] ?? 0n) + 2n)
  })
  const again = load.count('200')
  await deployment.until(`requests are served once ${when}`, async () => load.count('200') >= again + between)
  const refused = [...load.codes].filter(([said]) => said !== '200')
  notes.expect(refused.length === 0, `${when}, and requests ended with ${JSON.stringify(refused)}`)
  load.forget()
  for (const violation of (await audit(deployment)).violations) notes.expect(false, `${when}: ${violation}`)
}

async function countBeats(deployment: Deployment): Promise<readonly bigint[]> {
  const { rows } = await deployment.ledger.pool.query<{ counter: bigint }>(
    'SELECT counter FROM process_epoch WHERE ended_at IS NULL ORDER BY id',
  )
  return rows.map(({ counter }) => counter)
}
