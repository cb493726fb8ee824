import { nanoUsd } from '@latchkey/shared'
import { type Ask, boundOf, dearestAsk } from './ask.ts'
import type { Deployment, ProofKey } from './deployment.ts'
import type { Notes } from './trial.ts'

const mostRounds = 200

/**
 * Sends one request after the other with each key at each gateway until all of them are told that the budget is
 * used up. What is in flight is waited for, what a process has set aside too; what can pay for a request must
 * serve it. Returns how many of them were told to try again.
 */
export async function exhaust(
  deployment: Deployment,
  notes: Notes,
  keys: readonly ProofKey[],
  askOf: (key: ProofKey) => Ask = dearestAsk,
): Promise<number> {
  let inFlight = 0
  for (let round = 0; round < mostRounds; round++) {
    let over = true
    for (const key of keys)
      for (const gateway of deployment.gateways) {
        const outcome = await deployment.clients.send(gateway.dataUrl, askOf(key))
        notes.add(outcome, gateway)
        if (outcome.code !== 'insufficient_quota') over = false
        if (outcome.code === 'budget_in_flight') inFlight++
      }
    if (over) return inFlight
  }
  notes.expect(false, `after ${mostRounds} rounds some key is still not told that its budget is used up`)
  return inFlight
}

/**
 * Lowers a key's limit to what is spent and `count` requests more, and sends those one after the other: each must be
 * served at once, since nothing is in flight, and the next one must be told that the budget is used up.
 */
export async function admitsExactly(
  deployment: Deployment,
  notes: Notes,
  key: ProofKey,
  count: number,
): Promise<void> {
  const ask = dearestAsk(key)
  await deployment.quiet()
  const { settled, unsettled, overage } = await deployment.ledger.window('key', key.id)
  const spent = settled + unsettled + overage
  await deployment.limit(key, nanoUsd(spent + boundOf(ask) * BigInt(count)))
  await deployment.until('what was leased comes back when a limit is lowered', async () => {
    const window = await deployment.ledger.window('key', key.id)
    return window.leased === 0n
  })
  for (let turn = 0; turn <= count; turn++) {
    const gateway = await deployment.gateway(turn)
    const outcome = await deployment.clients.send(gateway.dataUrl, ask)
    notes.add(outcome, gateway)
    if (turn < count)
      notes.expect(
        outcome.status === 200,
        `request ${turn + 1} of ${count} that the budget pays for is refused: ${outcome.status} ${outcome.code}`,
      )
    else notes.expect(outcome.status === 429, `a request that the budget can't pay for is served`)
  }
  await deployment.quiet()
  for (const gateway of deployment.gateways) {
    const outcome = await deployment.clients.send(gateway.dataUrl, ask)
    notes.expect(
      outcome.code === 'insufficient_quota',
      `with nothing in flight and nothing left, a request is told ${outcome.code}`,
    )
  }
}
