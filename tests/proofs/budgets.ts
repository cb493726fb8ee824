// That no budget is ever overspent, and no money ever lost: real gateways as processes of their own, a simulator as
// their upstream, and a checker that reads nothing but the upstream's books and the database. `npm run prove-budgets`
import { scenarios } from './budgets/scenarios.ts'
import { prove } from './prove.ts'

await prove({ command: 'prove-budgets', takes: 'half an hour', kills: { quick: 3, full: 50 }, scenarios })
