import { type Ask, plainAsk } from '../budgets/ask.ts'
import type { Outcome } from '../budgets/client.ts'
import type { Surroundings, Trial } from '../budgets/trial.ts'
import { type Fault, underLoad } from './fault.ts'
import { halfClosed, slowReaders } from './readers.ts'

const backWithinMs = 2_000
/** So that an upstream which hangs is given up soon. */
export const impatient = { LATCHKEY_HEADERS_TIMEOUT_MS: '3000', LATCHKEY_IDLE_TIMEOUT_MS: '3000' }
const sizes = {
  quick: { requests: 16, slow: 6, halfClosed: 20 },
  full: { requests: 200, slow: 50, halfClosed: 200 },
} as const

/** Scenario 4: upstreams and clients that misbehave concern nobody else. */
export async function upstream(surroundings: Surroundings): Promise<readonly Trial[]> {
  return [
    await underLoad(surroundings, {
      name: 'upstreams misbehave',
      settings: impatient,
      faults: upstreamFaults(surroundings),
    }),
    // A client that stands still is given up as soon as an upstream is.
    await underLoad(surroundings, { name: 'clients misbehave', faults: clientFaults(surroundings) }),
  ]
}

export function upstreamFaults({ size }: Surroundings): readonly Fault[] {
  const { requests } = sizes[size]
  const broken = ({ complete }: Outcome) => !complete
  const failed = ({ status }: Outcome) => (status ?? 500) >= 500
  const whole = ({ status, complete }: Outcome) => status === 200 && complete
  const storm = ({ status, complete }: Outcome) => status === 429 && complete
  const stream = { stream: true } as const
  const all = (what: string, more: Partial<Ask>, expected: (outcome: Outcome) => boolean): Fault => ({
    name: `${requests} requests at once whose upstream ${what}`,
    refusals: [],
    backWithinMs,
    async strike({ deployment, notes, key }) {
      const others = new Set<string>()
      const send = async (number: number) => {
        const gateway = await deployment.gateway(number)
        const outcome = await deployment.clients.send(gateway.dataUrl, { ...plainAsk(key), ...more })
        notes.add(outcome, gateway)
        if (!expected(outcome)) others.add(JSON.stringify({ ...outcome, requestId: null }))
      }
      await Promise.all(Array.from({ length: requests }, (_, number) => send(number)))
      notes.expect(others.size === 0, `an upstream ${what}, and clients saw ${[...others].join(', ')}`)
    },
  })
  return [
    all(
      'resets in the middle of a stream',
      { ...stream, fault: 'reset' },
      (outcome) => broken(outcome) || failed(outcome),
    ),
    all('ends in the middle of a stream', { ...stream, fault: 'cut=3' }, broken),
    all('falls silent in the middle of a stream', { ...stream, fault: 'hang' }, broken),
    all('never answers', { fault: 'hang-headers' }, failed),
    all('sends one byte at a time', { ...stream, fault: 'trickle' }, whole),
    all('answers 429', { fault: 'status=429;retry-after=1' }, storm),
  ]
}

export function clientFaults({ size }: Surroundings): readonly Fault[] {
  return [slowReaders(sizes[size].slow, size === 'full'), halfClosed(sizes[size].halfClosed)]
}
