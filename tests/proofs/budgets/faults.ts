import { type Alone, sendAlone } from './alone.ts'
import { type Ask, boundOf, plainAsk } from './ask.ts'
import { Dice } from './dice.ts'
import { admitsExactly } from './exhaust.ts'
import { mixed, runLoad } from './load.ts'
import { type Notes, plenty, type Surroundings, type Trial, trial } from './trial.ts'

/** What a request costs whose upstream fails in some way. */
type Expected =
  /** Nothing: the upstream has refused it. */
  | 'free'
  /** What the upstream says. */
  | 'exact'
  /** What was held, for nobody knows. */
  | 'hold'
  /** What the upstream says, which is more than was held. */
  | 'overage'

type Case = readonly [fault: string, expected: Expected, more?: Partial<Ask>]

const whole: readonly Case[] = [
  ['status=500', 'free'],
  ['status=429;retry-after=1', 'free'],
  ['status=400', 'free'],
  ['reset-before-headers', 'hold'],
  ['hang-headers', 'hold'],
  ['hang', 'hold'],
  ['cut=0bytes', 'hold'],
  ['cut=20bytes', 'hold'],
  ['reset', 'hold'],
  ['omit-usage', 'hold'],
  ['lie-usage=3', 'exact'],
  ['lie-usage=0', 'exact'],
  ['lie-usage=5000', 'overage'],
  ['ignore-cap', 'overage', { outputTokens: 400 }],
  ['trickle', 'exact'],
]

const streamed: readonly Case[] = [
  ['status=503', 'free'],
  ['reset-before-headers', 'hold'],
  ['hang-headers', 'hold'],
  ['hang', 'hold'],
  ['cut=0', 'hold'],
  ['cut=1', 'hold'],
  ['cut=7', 'hold'],
  ['reset', 'hold'],
  ['omit-usage', 'hold'],
  ['omit-usage;cut=5', 'hold'],
  ['lie-usage=3', 'exact'],
  ['lie-usage=5000', 'overage'],
  ['ignore-cap', 'overage', { outputTokens: 400 }],
  ['slow=5', 'exact'],
  ['trickle', 'exact'],
]

/** So that an upstream which hangs is given up soon. */
const impatient = { LATCHKEY_HEADERS_TIMEOUT_MS: '1500', LATCHKEY_IDLE_TIMEOUT_MS: '1500' }

/** Scenario 3: upstreams that fail, hang, lie, omit and ignore. */
export async function faults(surroundings: Surroundings): Promise<readonly Trial[]> {
  return [await oneByOne(surroundings), await retried(surroundings), await allAtOnce(surroundings)]
}

function oneByOne(surroundings: Surroundings): Promise<Trial> {
  const options = {
    name: 'an upstream fails, hangs, lies, omits, ignores',
    allowance: { overage: true },
    settings: impatient,
  }
  return trial(surroundings, options, async (deployment, notes) => {
    const key = await deployment.mint('alice', { total: plenty })
    const cases = [
      ...whole.map((one) => [one, false] as const),
      ...streamed.map((one) => [one, true] as const),
    ]
    const chosen = surroundings.size === 'full' ? cases : cases.filter((_, index) => index % 3 === 0)
    for (const [turn, [[fault, expected, more], stream]] of chosen.entries()) {
      const name = `${stream ? 'stream' : 'whole'}, ${fault}`
      const before = await deployment.ledger.window('key', key.id).catch(() => null)
      const alone = await sendAlone(deployment, notes, name, turn, {
        ...plainAsk(key),
        stream,
        fault,
        ...more,
      })
      if (alone === null) continue
      expectCost(notes, name, expected, alone)
      const { overage } = await deployment.ledger.window('key', key.id)
      const grown = overage - (before?.overage ?? 0n)
      const beyond = expected === 'overage' ? (alone.record.cost ?? 0n) - (alone.record.held ?? 0n) : 0n
      notes.expect(grown === beyond, `${name}: the overage has grown by ${grown}, not ${beyond}`)
    }
    await admitsExactly(deployment, notes, key, 5)
  })
}

function expectCost(notes: Notes, name: string, expected: Expected, { charge, record }: Alone): void {
  const { cost, held, estimated } = record
  const said = `${name}: it costs ${cost}, held ${held}, the upstream has charged ${charge}`
  switch (expected) {
    case 'free':
      notes.expect(cost === 0n && charge === 0n, said)
      break
    case 'exact':
      notes.expect(cost === charge && charge > 0n && charge <= (held ?? 0n), said)
      break
    case 'hold':
      notes.expect(cost === held && charge <= (held ?? 0n), said)
      break
    case 'overage':
      notes.expect(cost === charge && charge > (held ?? 0n), said)
      break
    default:
      expected satisfies never
  }
  notes.expect(estimated === (expected === 'hold'), `${name}: estimated is ${estimated}`)
}

function retried(surroundings: Surroundings): Promise<Trial> {
  const name = 'a request that is sent again holds and pays for each attempt'
  return trial(surroundings, { name, settings: impatient }, async (deployment, notes) => {
    const key = await deployment.mint('alice', { total: plenty, retries: 2 })
    const ask = plainAsk(key)
    const cases = [
      // Whoever was asked and has refused is owed nothing.
      { fault: 'status=503;first=1', attempts: 2, lost: 0n },
      // Whoever was asked and has said nothing may have done the work.
      { fault: 'reset-before-headers;first=2', attempts: 3, lost: 2n * boundOf(ask) },
    ]
    for (const [turn, { fault, attempts, lost }] of cases.entries()) {
      const alone = await sendAlone(deployment, notes, fault, turn, { ...ask, fault })
      if (alone === null) continue
      const { charge, record } = alone
      notes.expect(record.attempts === attempts, `${fault}: ${record.attempts} attempts`)
      notes.expect(
        record.cost === charge + lost,
        `${fault}: it costs ${record.cost}, charged ${charge}, lost ${lost}`,
      )
    }
  })
}

function allAtOnce(surroundings: Surroundings): Promise<Trial> {
  const count = surroundings.size === 'full' ? 3_000 : 200
  return trial(
    surroundings,
    { name: `${count} requests of all kinds`, settings: impatient },
    async (deployment, notes) => {
      const total = plenty
      const group = await deployment.group('everyone', total)
      const keys = [
        await deployment.mint('alice', { total, group }),
        await deployment.mint('bob', { total, group, fit: 'clamp' }),
      ] as const
      await runLoad(deployment, notes, count, new Dice(surroundings.seed), mixed(keys))
      await admitsExactly(deployment, notes, keys[0], 5)
    },
  )
}
