import type { Scenario } from '../budgets/scenarios.ts'
import { gateways } from './gateways.ts'
import { postgres } from './postgres.ts'
import { redis } from './redis.ts'
import { stores } from './stores.ts'
import { upstream } from './upstream.ts'

const processes = [3] as const

/** What is proved, in order, on three gateways that share a Postgres and a Redis. Clocks that step: `prove-budgets`. */
export const scenarios: readonly Scenario[] = [
  { number: 1, title: 'Redis fails', processes, run: redis },
  { number: 2, title: 'Postgres fails', processes, run: postgres },
  { number: 3, title: 'gateways fail', processes, run: gateways },
  { number: 4, title: 'upstreams and clients misbehave', processes, run: upstream },
  { number: 5, title: 'records can be kept nowhere', processes, run: stores },
]
