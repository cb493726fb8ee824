import { setTimeout as sleep } from 'node:timers/promises'
import { plainAsk } from './ask.ts'
import { audit } from './audit.ts'
import type { Deployment, ProofKey } from './deployment.ts'
import { Dice } from './dice.ts'
import { fencing } from './fencing.ts'
import type { Gateway } from './gateway.ts'
import { Load, mixed } from './load.ts'
import { type Notes, plenty, type Surroundings, type Trial, trial } from './trial.ts'

/** A gateway that finds its database again serves within this time. */
const backWithinMs = 15_000
/** A dead process is watched for a minute before its leases are swept. */
const sweptWithinMs = 120_000
/** A heartbeat is trusted for 30 s, and the last one came 5 s before at the most, or the time of an answer after. */
const leasesLastFor = 20
const leasesEndAfter = 38
const lanes = 16
const lightLanes = 8

/** Scenario 6: Postgres restarts, is away for long, and a process sleeps past its sweep. */
export async function outages(surroundings: Surroundings): Promise<readonly Trial[]> {
  const trials = [await restart(surroundings)]
  if (surroundings.size === 'quick') return [...trials, await away(surroundings, 3)]
  trials.push(await away(surroundings, 20), await away(surroundings, 60))
  trials.push(await asleep(surroundings), await fencing(surroundings))
  // After 90 s Node has given up requests that came in part; sooner, they go on where they stopped.
  return [...trials, await fencing({ ...surroundings, size: 'quick' })]
}

function restart(surroundings: Surroundings): Promise<Trial> {
  const times = surroundings.size === 'full' ? 5 : 1
  return trial(
    surroundings,
    { name: `Postgres restarts ${times} times under load`, database: 'shared' },
    async (deployment, notes) => {
      const { load } = await begin(surroundings, deployment, notes)
      for (let turn = 0; turn < times; turn++) {
        // Cleanly and not, in turn.
        if (turn % 2 === 0) await deployment.postgres.stop()
        else await deployment.postgres.kill()
        await deployment.postgres.start()
        await expectBack(deployment, load, 'after a restart of Postgres')
        await expectSound(deployment, notes)
      }
      await load.stop()
      await expectNobodySwept(deployment, notes, surroundings.processes)
    },
  )
}

/** For a while leases go on; then there is nothing to spend from; then Postgres is back, and so is everybody. */
function away(surroundings: Surroundings, seconds: number): Promise<Trial> {
  const options = { name: `Postgres is away for ${seconds} s under load`, database: 'shared' } as const
  return trial(surroundings, options, async (deployment, notes) => {
    const { load: heavy, keys } = await begin(surroundings, deployment, notes)
    await heavy.stop()
    // Whose leases last for longer than any outage.
    const dice = new Dice(surroundings.seed)
    const light = () => ({ ...plainAsk(dice.pick(keys)), latencyMs: 100 })
    const load = new Load(deployment, notes, dice, light, lightLanes)
    await deployment.postgres.stop()
    load.forget()
    const stopped = performance.now()
    const until = (second: number) => sleep(Math.max(0, stopped + second * 1_000 - performance.now()))

    await until(Math.min(seconds, leasesLastFor))
    expectOnly(notes, load, ['200'], `in the first ${leasesLastFor} s without Postgres`)
    if (seconds > leasesEndAfter) {
      await until(leasesEndAfter)
      load.forget()
      await until(seconds)
      // Towards the end, what a gateway knows of the keys is too old as well.
      expectOnly(
        notes,
        load,
        ['budget_unavailable', 'database_unavailable'],
        `after ${leasesEndAfter} s without Postgres`,
      )
    }
    await deployment.postgres.start()
    await expectBack(deployment, load, `once Postgres is back after ${seconds} s`)
    await load.stop()
    await expectNobodySwept(deployment, notes, surroundings.processes)
  })
}

function expectOnly(notes: Notes, load: Load, codes: readonly string[], when: string): void {
  const others = [...load.codes].filter(([said]) => !codes.includes(said))
  notes.expect(others.length === 0, `${when}, requests ended with ${JSON.stringify(others)}`)
  notes.expect(
    codes.some((said) => load.count(said) > 0),
    `${when}, no request ended with ${codes.join(' or ')}`,
  )
}

function asleep(surroundings: Surroundings): Promise<Trial> {
  return trial(
    surroundings,
    { name: 'a process is stopped past its sweep, and woken' },
    async (deployment, notes) => {
      const { load, keys } = await begin(surroundings, deployment, notes)
      const sleeper = await deployment.gateway(0)
      // Whatever it has in flight by then goes on upstream without it.
      sleeper.suspend()
      await deployment.until(
        'what the sleeper has leased is swept',
        async () => (await deployment.ledger.epochs()).ended === 1,
        sweptWithinMs,
      )
      await deployment.until('it is swept', async () => (await deployment.ledger.epochs()).orphans === 0)
      const swept = await deployment.ledger.window('key', keys[0].id)
      notes.expect(swept.unsettled > 0n, 'nothing is unsettled, though a process with leases was swept')
      await expectSound(deployment, notes)
      sleeper.resume()
      await sleeper.untilLogged('budget.epoch_lost')
      await expectServes(deployment, notes, sleeper, keys[0])
      await load.stop()
      await deployment.quiet()
      const { live } = await deployment.ledger.epochs()
      notes.expect(live === surroundings.processes, `${live} processes are alive by the books`)
    },
  )
}

interface Begun {
  readonly load: Load
  readonly keys: readonly [ProofKey, ProofKey]
}

/** Two keys in a group, and requests of all kinds, which have come to stay. */
async function begin({ seed }: Surroundings, deployment: Deployment, notes: Notes): Promise<Begun> {
  const group = await deployment.group('everyone', plenty)
  const keys = [
    await deployment.mint('alice', { total: plenty, group }),
    await deployment.mint('bob', { total: plenty, group }),
  ] as const
  const load = new Load(deployment, notes, new Dice(seed), mixed(keys), lanes)
  // Until leases are as large as this load lets them become.
  await deployment.until('the load is under way', async () => load.count('200') > 500)
  return { load, keys }
}

async function expectBack(deployment: Deployment, load: Load, when: string): Promise<void> {
  load.forget()
  await deployment.until(
    `requests are served ${when}`,
    async () => load.count('200') > 2 * lanes,
    backWithinMs,
  )
}

/** That one gateway serves again, by itself. */
async function expectServes(
  deployment: Deployment,
  notes: Notes,
  gateway: Gateway,
  key: ProofKey,
): Promise<void> {
  const ask = { ...mixed([key])(new Dice(1)), fault: null, leaves: null }
  await deployment.until(
    'the gateway that slept serves again',
    async () => {
      const outcome = await deployment.clients.send(gateway.dataUrl, ask)
      notes.add(outcome, gateway)
      return outcome.status === 200
    },
    backWithinMs,
  )
}

async function expectSound(deployment: Deployment, notes: Notes): Promise<void> {
  for (const violation of (await audit(deployment)).violations) notes.expect(false, violation)
}

async function expectNobodySwept(deployment: Deployment, notes: Notes, processes: number): Promise<void> {
  const { live, ended } = await deployment.ledger.epochs()
  notes.expect(live === processes && ended === 0, `${ended} living processes were taken for dead`)
  for (const gateway of deployment.gateways)
    notes.expect(gateway.logged('budget.leases_swept') === 0, 'leases of the living were swept')
}
