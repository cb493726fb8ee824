// What Postgres and Redis see of many keys, requests and processes: in virtual time, with the gateway's own books and
// rules. `npm run prove-scale`; with `--measure` the figures of this machine behind it, with `--check` against real engines.
import { parseArgs } from 'node:util'
import { addOrganization } from '../budget/books.ts'
import { measureKeys } from './scale/measure-keys.ts'
import { measureLeases } from './scale/measure-leases.ts'
import { measureRecords } from './scale/measure-records.ts'
import { type Counted, countReal, countSimulated } from './scale/reality.ts'
import { comparisonLines, keyLines, leaseLines, recordLines, sceneLines } from './scale/report.ts'
import { checkedScene, scenes } from './scale/scene.ts'
import { type ScratchDatabase, startScratchDatabase } from './scale/scratch-database.ts'
import { simulate } from './scale/simulate.ts'

/** By so much the simulation may be off. */
const mostOff = 1.6

const usage = `Usage: npm run prove-scale -- [options]
  --scene <n>     one scene alone; may be repeated
${scenes.map(({ name }, index) => `                    ${index + 1}: ${name}`).join('\n')}
  --seed <n>      1 unless said otherwise; the same seed gives the same figures
  --measure       instead: what this machine does, on a Postgres of its own (a minute)
  --check         instead: the simulation against real engines on a real Postgres`

const { values } = parseArgs({
  options: {
    scene: { type: 'string', multiple: true },
    seed: { type: 'string', default: '1' },
    measure: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const seed = Number(values.seed)
const say = (lines: readonly string[]) => process.stdout.write(`${lines.join('\n')}\n`)

if (values.help) say([usage])
else if (values.measure) await onScratchDatabase(measure)
else if (values.check) await onScratchDatabase(check)
else runScenes()

function runScenes(): void {
  for (const [index, scene] of scenes.entries()) {
    if (values.scene !== undefined && !values.scene.includes(String(index + 1))) continue
    const outcome = simulate(scene, seed)
    say(sceneLines(outcome))
    if (outcome.overspent > 0) {
      say([`  ${outcome.overspent} budgets were overspent`])
      process.exitCode = 1
    }
  }
}

async function measure(database: ScratchDatabase): Promise<void> {
  const { pool } = database.main
  for (const keys of [10_000, 100_000])
    say(keyLines(await measureKeys(database, await addOrganization(pool), keys)))
  say(leaseLines(await measureLeases(database, await addOrganization(pool), 10_000)))
  say(recordLines(await measureRecords(database)))
}

async function check(database: ScratchDatabase): Promise<void> {
  for (const spread of ['uniform', 'zipf'] as const) {
    const scene = { ...checkedScene, spread }
    const [simulated, real] = [countSimulated(scene, seed), await countReal(database, scene, seed)]
    say([`${scene.name}, ${spread}, the first ${scene.seconds} s:`, ...comparisonLines(simulated, real)])
    if (isOff(simulated, real)) process.exitCode = 1
  }
}

function isOff(simulated: Counted, real: Counted): boolean {
  const pairs = [
    [simulated.statements, real.statements],
    [simulated.leases, real.leases],
    [simulated.idleDollars, real.idleDollars],
  ] as const
  return pairs.some(([one, other]) => one / other > mostOff || other / one > mostOff)
}

async function onScratchDatabase(work: (database: ScratchDatabase) => Promise<void>): Promise<void> {
  const database = await startScratchDatabase()
  try {
    await work(database)
  } finally {
    await database.discard()
  }
}
