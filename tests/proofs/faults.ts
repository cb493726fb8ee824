// That whatever fails, nothing is lost, nothing is overspent, and service comes back by itself: three gateways as
// processes of their own on one Postgres and one Redis, under load, with a checker afterwards. `npm run prove-faults`
import { scenarios } from './faults/scenarios.ts'
import { prove } from './prove.ts'

await prove({
  command: 'prove-faults',
  takes: 'five minutes',
  kills: { quick: 1, full: 5 },
  scenarios,
})
