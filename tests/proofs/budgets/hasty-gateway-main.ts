// A gateway whose budgets take other times than their own: for proofs of what happens a minute later. The times are the
// argument, as JSON.
import { createLog, systemClock, systemRandom } from '@latchkey/shared'
import { z } from 'zod'
import { budgetTimes } from '../../../gateway/src/budget/budget-times.ts'
import { readConfig } from '../../../gateway/src/config.ts'
import { startGateway } from '../../../gateway/src/runtime/gateway.ts'

const times = z
  .partialRecord(z.enum(Object.keys(budgetTimes)), z.number())
  .parse(JSON.parse(process.argv[2] ?? '{}'))
const config = readConfig(process.env)
const log = createLog(config.logLevel, process.stderr)
const gateway = await startGateway(config, {
  clock: systemClock,
  random: systemRandom,
  log,
  budgetTimes: times,
})
process.once('SIGTERM', () => void gateway.stop().then(() => process.exit(0)))
log.info('gateway.ready', { url: gateway.dataUrl, pid: process.pid })
