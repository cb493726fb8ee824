import { once } from 'node:events'
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { nanoUsd, parseUsd, releasedBudgetWire } from '@latchkey/shared'
import { type Ask, bodyOf, boundOf, dearestAsk, directionsOf, plainAsk, priceOf } from './ask.ts'
import type { Deployment, ProofKey } from './deployment.ts'
import { exhaust } from './exhaust.ts'
import type { Gateway } from './gateway.ts'
import { type Notes, type Surroundings, type Trial, trial } from './trial.ts'

/** How many requests the budget pays for at their bounds, and how many the sleeper is sent before, asleep and awake. */
const pays = 40
const sentBefore = 8
const halfSent = 10
const sentAsleep = 20
const sentAwake = 20

const sleepsMs = 90_000
const sweptWithinMs = 150_000
/** In the small size: a process is dead after 4 s, not after a minute. */
const hasty = { beatEvery: 250, beatWithin: 2_000, trustFor: 2_000, deadAfter: 4_000, longestGap: 2_000 }

const nobody: ProofKey = { id: '', token: '' }

/**
 * A process is stopped past its sweep; an administrator releases what it had leased, another process spends all of it,
 * and the one that wakes, with requests that came while it slept, spends nothing more.
 */
export function fencing(surroundings: Surroundings): Promise<Trial> {
  const isQuick = surroundings.size === 'quick'
  const options = {
    name: `what a stopped process had is released and spent, and it is woken${isQuick ? ' soon' : ' after 90 s'}`,
    // So long after the sweep it may be released.
    settings: { LATCHKEY_TOTAL_TIMEOUT_MS: '5000' },
    ...(isQuick ? { budgetTimes: hasty } : {}),
  }
  return trial(surroundings, options, async (deployment, notes) => {
    const total = nanoUsd(boundOf(dearestAsk(nobody)) * BigInt(pays))
    const key = await deployment.mint('alice', { total })
    const sleeper = await deployment.gateway(0)
    // All at once, and each costs less than it holds: what is left of it stays with the sleeper.
    await sendEach(deployment, notes, sleeper, { ...plainAsk(key), latencyMs: 200 }, sentBefore)
    await deployment.quiet()
    const { leased } = await deployment.ledger.window('key', key.id)
    if (leased < boundOf(dearestAsk(key))) throw new Error('what the sleeper has would not pay for a request')

    // Their keys are verified already: on waking, the sleeper has their other halves before any answer of the database.
    const halves = await Promise.all(
      Array.from({ length: halfSent }, () => sendHalf(sleeper, dearestAsk(key))),
    )
    sleeper.suspend()
    const rests = halves.map((sendRest) => sendRest())
    const awake = sleep(isQuick ? 0 : sleepsMs)
    const late = sendEach(deployment, notes, sleeper, dearestAsk(key), sentAsleep)
    await deployment.until(
      'what the sleeper has leased is swept',
      async () => (await deployment.ledger.window('key', key.id)).unsettled === leased,
      sweptWithinMs,
    )
    await release(deployment, notes, key, leased)
    await exhaust(deployment, notes, [key])
    await expectSpent(deployment, notes, key, 'before the sleeper wakes')
    await awake

    sleeper.resume()
    const after = await sendEach(deployment, notes, sleeper, dearestAsk(key), sentAwake)
    const said = [...(await Promise.all(rests)), ...(await late), ...after]
    const served = said.filter((each) => each === '200').length
    notes.expect(served === 0, `the sleeper served ${served} requests with money that another has spent`)
    await deployment.until(
      'the sleeper learns that it was taken for dead',
      async () => sleeper.logged('budget.epoch_lost') > 0,
    )
    await expectSpent(deployment, notes, key, 'after it')
    notes.measured.push(`a woken process was sent ${said.length} requests: ${countOf(said)}`)
  })
}

/** Sends so many at once to one gateway; what each was told. */
function sendEach(
  deployment: Deployment,
  notes: Notes,
  gateway: Gateway,
  ask: Ask,
  count: number,
): Promise<readonly string[]> {
  const sendOne = async () => {
    const outcome = await deployment.clients.send(gateway.dataUrl, ask)
    notes.add(outcome, gateway)
    return outcome.code ?? String(outcome.status ?? 'none')
  }
  return Promise.all(Array.from({ length: count }, sendOne))
}

/** Sends half of a request, up to its body. Resolves when its key is accepted, with what sends the rest: its status. */
async function sendHalf({ dataUrl }: Gateway, ask: Ask): Promise<() => Promise<string>> {
  const body = bodyOf(ask)
  const outgoing = request(`${dataUrl}/v1/chat/completions`, {
    method: 'POST',
    agent: false,
    headers: {
      authorization: `Bearer ${ask.key.token}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      expect: '100-continue',
      ...directionsOf(ask),
    },
  })
  outgoing.flushHeaders()
  await once(outgoing, 'continue')
  return async () => {
    const answered = once(outgoing, 'response')
    outgoing.end(body)
    const [incoming] = await answered
    incoming.resume()
    return String(incoming.statusCode)
  }
}

async function release(
  deployment: Deployment,
  notes: Notes,
  key: ProofKey,
  unsettled: bigint,
): Promise<void> {
  const { budget } = await deployment.ledger.window('key', key.id)
  let released = 0n
  await deployment.until('what is unsettled can be released', async () => {
    const answer = releasedBudgetWire.parse(await deployment.admin('POST', `/budgets/${budget}/release`, {}))
    released += parseUsd(answer.releasedUsd) ?? 0n
    return answer.waitingUsd === '0'
  })
  notes.expect(released === unsettled, `${released} of ${unsettled} nano-dollars were released`)
}

/** That the upstream has charged all of the limit that pays for a request, nothing beyond it, and the books say the same. */
async function expectSpent(deployment: Deployment, notes: Notes, key: ProofKey, when: string): Promise<void> {
  await deployment.until('nothing is in flight', async () => {
    const { leased } = await deployment.ledger.window('key', key.id)
    return leased === 0n && (await deployment.upstream.books()).inFlight === 0
  })
  const { settled, overage, limit } = await deployment.ledger.window('key', key.id)
  const charged = priceOf((await deployment.upstream.books()).billed.usage)
  const isAllSpent = charged <= limit && limit - charged < boundOf(dearestAsk(key))
  notes.expect(isAllSpent, `${when}, the upstream has charged ${charged} of ${limit} nano-dollars`)
  notes.expect(settled === charged && overage === 0n, `${when}, ${settled} are settled, ${overage} beyond`)
}

function countOf(said: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const each of said) counts.set(each, (counts.get(each) ?? 0) + 1)
  return [...counts].map(([what, count]) => `${count} ${what}`).join(', ')
}
