// `latchkey`, the command: bin/latchkey.js loads it in a checkout, and is where Node's flags are said why.
import { systemClock } from '@latchkey/shared'
import { run } from './program.ts'
import { Terminal } from './terminal.ts'

const { env, stdin, stdout, stderr } = process

// Whoever reads our output may stop at any time (`| head`): that is no failure.
stdout.on('error', (error) => {
  if ('code' in error && error.code === 'EPIPE') process.exit(0)
  throw error
})

const terminal = new Terminal({ stdin, stdout, stderr })
process.exitCode = await run(process.argv.slice(2), { env, terminal, clock: systemClock })
