// To be imported before a gateway: SIGUSR2 sets its wall clock off by the milliseconds in the file that
// PROOF_CLOCK_FILE names, as an operator or NTP may do it. Its monotonic clock goes on.
import { readFileSync } from 'node:fs'

const file = process.env.PROOF_CLOCK_FILE
const wallClock = Date.now
let offset = 0

Date.now = () => wallClock() + offset

process.on('SIGUSR2', () => {
  offset = file === undefined ? 0 : Number(readFileSync(file, 'utf8'))
  process.stderr.write(`${JSON.stringify({ event: 'proof.clock_stepped' })}\n`)
})
