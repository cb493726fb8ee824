import { type NanoUsd, nanoUsd } from '@latchkey/shared'
import { type Ask, priceOf } from './ask.ts'
import type { Deployment } from './deployment.ts'
import type { RecordStanding } from './ledger.ts'
import type { Notes } from './trial.ts'

/** What one request came to, while nothing else was in flight. */
export interface Alone {
  /** By the upstream's books. */
  readonly charge: NanoUsd
  readonly record: RecordStanding
}

/** Sends one request by itself and waits for its books. Null where it does not have exactly one record, which is a violation. */
export async function sendAlone(
  deployment: Deployment,
  notes: Notes,
  name: string,
  turn: number,
  ask: Ask,
): Promise<Alone | null> {
  const before = await deployment.upstream.books()
  const known = await deployment.ledger.sentRecords()
  const gateway = await deployment.gateway(turn)
  notes.add(await deployment.clients.send(gateway.dataUrl, ask), gateway)
  await deployment.until(`the upstream gets the request (${name})`, async () => {
    const { requests, inFlight } = await deployment.upstream.books()
    return requests + inFlight > before.requests
  })
  await deployment.quiet()
  const after = await deployment.upstream.books()
  const records = await deployment.ledger.sentRecords()
  const [record, ...others] = records.slice(known.length)
  if (record === undefined || others.length > 0) {
    notes.expect(false, `${name}: ${records.length - known.length} records`)
    return null
  }
  return { charge: nanoUsd(priceOf(after.billed.usage) - priceOf(before.billed.usage)), record }
}
