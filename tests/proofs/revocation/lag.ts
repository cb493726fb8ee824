import { setTimeout as sleep } from 'node:timers/promises'
import type { Gateway } from '../budgets/gateway.ts'

/** A change made at one gateway, and the request by which another is asked whether it knows. */
export interface Change {
  /** Whether the answer is one of before the change. */
  readonly isBefore: (status: number) => boolean
  readonly ask: () => { readonly path: string; readonly token: string; readonly body?: object }
  readonly make: () => Promise<unknown>
}

/** How long after the answer to the change each gateway still served as before, in milliseconds. */
export interface Lag {
  readonly milliseconds: number
  /** How often a gateway went back to before, once it had known. */
  readonly relapses: number
}

const patienceMs = 20_000
const confirmations = 5

/**
 * Makes the change while requests go to every gateway, one after the other. The lag is from the admin's answer to the
 * sending of the last request that was still served as before. Throws where it is not known after 20 s.
 */
export async function measureLag(
  gateways: readonly Gateway[],
  { isBefore, ask, make }: Change,
  pauseMs = 0,
): Promise<Lag> {
  let madeAt = Number.POSITIVE_INFINITY
  for (const gateway of gateways) {
    if (!isBefore(await statusOf(gateway, ask()))) throw new Error('it is refused before the change')
  }
  const loops = gateways.map(async (gateway): Promise<Lag> => {
    let last = 0
    let known = 0
    let relapses = 0
    while (known < confirmations) {
      const sentAt = performance.now()
      if (sentAt - madeAt > patienceMs) throw new Error('it is not known after 20 s')
      const before = isBefore(await statusOf(gateway, ask()))
      if (before) {
        last = sentAt
        if (known > 0) relapses += 1
        known = 0
      } else known += 1
      await sleep(pauseMs)
    }
    return { milliseconds: last - madeAt, relapses }
  })
  await make()
  madeAt = performance.now()
  const lags = await Promise.all(loops)
  return {
    milliseconds: Math.max(0, ...lags.map(({ milliseconds }) => milliseconds)),
    relapses: lags.reduce((sum, { relapses }) => sum + relapses, 0),
  }
}

async function statusOf(
  { dataUrl }: Gateway,
  { path, token, body }: ReturnType<Change['ask']>,
): Promise<number> {
  const response = await fetch(`${dataUrl}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  await response.arrayBuffer()
  return response.status
}
