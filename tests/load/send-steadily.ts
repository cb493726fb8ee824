import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'

export interface SteadyLoad {
  readonly url: string
  readonly perSecond: number
  /** The key of the next request. */
  readonly key: () => string
  /** When no more are sent, in monotonic milliseconds. */
  readonly until: number
  /** Hears of each answer's time, in milliseconds, counted from when its request was due. */
  readonly took?: (milliseconds: number) => void
}

const connections = 64
const body = JSON.stringify({ model: 'm', max_tokens: 5, messages: [{ role: 'user', content: 'hi' }] })

/**
 * Sends requests at a fixed rate, however long their answers take: a slow server must not lower the load that
 * it is measured under. Resolves, when all are answered, with how many got each status.
 */
export async function sendSteadily(
  load: SteadyLoad,
): Promise<{ readonly statuses: ReadonlyMap<number, number> }> {
  const { origin, pathname } = new URL(load.url)
  const pool = new Pool(origin, { connections })
  const statuses = new Map<number, number>()
  const open = new Set<Promise<void>>()
  const begun = performance.now()

  const send = async (due: number) => {
    const headers = { authorization: `Bearer ${load.key()}`, 'content-type': 'application/json' }
    const answer = await pool.request({ method: 'POST', path: pathname, headers, body })
    await answer.body.dump()
    load.took?.(performance.now() - due)
    statuses.set(answer.statusCode, (statuses.get(answer.statusCode) ?? 0) + 1)
  }
  for (let sent = 0; performance.now() < load.until; ) {
    const owed = 1 + Math.floor(((performance.now() - begun) * load.perSecond) / 1000)
    for (; sent < owed; sent++) {
      const sending: Promise<void> = send(begun + (sent * 1000) / load.perSecond).finally(() =>
        open.delete(sending),
      )
      open.add(sending)
    }
    await sleep(1)
  }
  await Promise.all(open)
  await pool.close()
  return { statuses }
}
