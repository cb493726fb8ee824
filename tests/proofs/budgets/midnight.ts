import { nanoUsd } from '@latchkey/shared'
import { type Ask, boundOf, dearestAsk, plainAsk } from './ask.ts'
import type { Deployment, ProofKey } from './deployment.ts'
import { Dice } from './dice.ts'
import { Load } from './load.ts'
import { type Notes, plenty, type Surroundings, type Trial, trial } from './trial.ts'

/** A Sunday at the end of a month: at midnight a day, a week and a month are over. */
const lastDay = '2027-02-28'
const dayPays = 30
const lanes = 8

/** Scenario 5, the calendar: a day's budget is used up before midnight, and there is a new one after it. */
export function midnight(surroundings: Surroundings): Promise<Trial> {
  const options = {
    name: 'midnight under load',
    database: 'shared',
    clock: `${lastDay}T22:00:00Z`,
  } as const
  return trial(surroundings, options, async (deployment, notes) => {
    const day = nanoUsd(boundOf(dearestAsk({ id: '', token: '' })) * BigInt(dayPays))
    const others = { day, week: plenty, month: plenty }
    const key = await deployment.mint('alice', { total: plenty, others })
    const patient = await deployment.mint('bob', { total: plenty, others })

    await deployment.clock.set(`${lastDay}T23:59:52Z`)
    // What gateways know of the clock is as old as their last heartbeat: they have asked since.
    await everywhere(deployment, notes, plainAsk(patient))
    const crossing = sendCrossing(deployment, notes, patient)
    const load = new Load(deployment, notes, new Dice(surroundings.seed), () => dearestAsk(key), lanes)
    await deployment.until('a new day is paid for', async () => {
      const days = (await deployment.ledger.windows()).filter(
        (w) => w.scopeId === key.id && w.period === 'day',
      )
      return days.length === 2 && days.every((window) => window.settled === day)
    })
    await load.stop()
    await crossing
    notes.expect(load.count('insufficient_quota') > 0, 'nobody was told that the day was used up')

    await deployment.quiet()
    const windows = await deployment.ledger.windows()
    for (const period of ['day', 'week', 'month'] as const) {
      const [, ...later] = windows.filter((w) => w.scopeId === patient.id && w.period === period)
      notes.expect(
        later.every((window) => window.settled === 0n),
        `an answer that began before midnight is paid by the ${period} after it`,
      )
    }
    await expectRightWindows(deployment, notes)
  })
}

/** One request at each gateway. */
async function everywhere(deployment: Deployment, notes: Notes, ask: Ask): Promise<void> {
  for (const gateway of deployment.gateways) {
    const outcome = await deployment.clients.send(gateway.dataUrl, ask)
    notes.add(outcome, gateway)
    notes.expect(
      outcome.status === 200,
      `a request with plenty left is refused: ${outcome.status} ${outcome.code}`,
    )
  }
}

/** An answer that begins before midnight and ends after it. */
async function sendCrossing(deployment: Deployment, notes: Notes, key: ProofKey): Promise<void> {
  const gateway = await deployment.gateway(0)
  const ask = { ...plainAsk(key), stream: true, maxTokens: 200, outputTokens: 120, pace: 10 }
  const outcome = await deployment.clients.send(gateway.dataUrl, ask)
  notes.add(outcome, gateway)
  notes.expect(outcome.complete, 'an answer does not survive midnight')
}

/**
 * Whether each request was paid by the windows in which it began, by the database's clock. Allowed are a second for
 * clocks that are read at different places, and those in which a hold may have waited for its lease.
 */
async function expectRightWindows(deployment: Deployment, notes: Notes): Promise<void> {
  const { rows } = await deployment.ledger.pool.query<{ id: string }>(`
    SELECT request.id FROM request, proof_clock, jsonb_array_elements(settlements) AS s
    JOIN budget_window AS w ON w.id = (s ->> 'window')::bigint
    WHERE started_at + shift > ends_at + interval '1 second' OR started_at + shift < starts_at - interval '4 seconds'`)
  notes.expect(
    rows.length === 0,
    `${rows.length} requests were paid by another window than that of their time`,
  )
}
