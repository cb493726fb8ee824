import { sendAlone } from './alone.ts'
import { type Ask, type Leaving, plainAsk } from './ask.ts'
import type { ProofKey } from './deployment.ts'
import { Dice } from './dice.ts'
import { runLoad } from './load.ts'
import { plenty, type Surroundings, type Trial, trial } from './trial.ts'

const outputTokens = 24
/** A role, a token an event, a reason, the usage, the end; and one more, which never comes. */
const lastEvent = outputTokens + 5

/** Scenario 2: clients that leave at every moment of an answer. */
export async function leavers(surroundings: Surroundings): Promise<readonly Trial[]> {
  return [
    await atEveryEvent(surroundings),
    await tooMuchToReadOn(surroundings),
    await manyLeavers(surroundings),
  ]
}

function stream(key: ProofKey, more: Partial<Ask>): Ask {
  return { ...plainAsk(key), stream: true, outputTokens, ...more }
}

function atEveryEvent(surroundings: Surroundings): Promise<Trial> {
  const step = surroundings.size === 'full' ? 1 : 6
  return trial(surroundings, { name: 'a client leaves at each event' }, async (deployment, notes) => {
    const key = await deployment.mint('alice', { total: plenty })
    const served = () =>
      deployment.until(
        'the upstream has the request',
        async () => (await deployment.upstream.books()).inFlight > 0,
      )
    const moments: { readonly name: string; readonly leaves: Leaving; readonly latencyMs?: number }[] = [
      { name: 'before the answer', leaves: { once: served }, latencyMs: 2_000 },
    ]
    for (let event = 0; event <= lastEvent; event += step)
      moments.push({ name: `at event ${event}`, leaves: { afterEvents: event } })
    for (const [turn, { name, ...more }] of moments.entries()) {
      const alone = await sendAlone(deployment, notes, name, turn, stream(key, { pace: 400, ...more }))
      if (alone === null) continue
      const { charge, record } = alone
      notes.expect(charge > 0n, `${name}: the upstream has charged nothing`)
      notes.expect(!record.estimated, `${name}: the cost is an estimate, of an answer that could be read on`)
      notes.expect(
        record.cost === charge,
        `${name}: it costs ${record.cost}, and the upstream has charged ${charge}`,
      )
    }
  })
}

function tooMuchToReadOn(surroundings: Surroundings): Promise<Trial> {
  const name = 'a client leaves an answer that is too long, or too slow, to be read on'
  return trial(surroundings, { name }, async (deployment, notes) => {
    const key = await deployment.mint('alice', { total: plenty })
    const long = stream(key, { maxTokens: 12_000, outputTokens: 12_000 })
    const slow = stream(key, { maxTokens: 200, outputTokens: 200, pace: 8 })
    // The slow one is read on for ten seconds.
    const asks = surroundings.size === 'full' ? [long, slow] : [long]
    for (const ask of asks)
      for (const event of [0, 1, 5]) {
        const alone = await sendAlone(deployment, notes, name, event, {
          ...ask,
          leaves: { afterEvents: event },
        })
        if (alone === null) continue
        const { charge, record } = alone
        notes.expect(
          record.estimated,
          'the cost of an answer that was broken off is not marked as an estimate',
        )
        notes.expect(record.cost === record.held, `it costs ${record.cost}, and ${record.held} was held`)
        notes.expect(
          charge <= (record.cost ?? 0n),
          `it costs ${record.cost}, and the upstream has charged ${charge}`,
        )
      }
  })
}

function manyLeavers(surroundings: Surroundings): Promise<Trial> {
  const count = surroundings.size === 'full' ? 2_000 : 150
  return trial(surroundings, { name: `${count} clients leave at any moment` }, async (deployment, notes) => {
    const key = await deployment.mint('alice', { total: plenty })
    await runLoad(deployment, notes, count, new Dice(surroundings.seed), (dice) => ({
      ...stream(key, { pace: dice.pick([0, 0, 300]), latencyMs: dice.below(20) }),
      leaves: dice.chance(20) ? { afterMs: dice.below(60) } : { afterEvents: dice.below(lastEvent) },
    }))
    await deployment.quiet()
    const records = await deployment.ledger.sentRecords()
    const { requests } = await deployment.upstream.books()
    // Of those that had left by the time that it was their turn, nothing was sent.
    const unsent = records.length - requests
    const free = records.filter(({ cost }) => cost === 0n).length
    notes.expect(
      free <= unsent,
      `${free} requests cost nothing, and ${unsent} of ${records.length} did not reach the upstream`,
    )
  })
}
