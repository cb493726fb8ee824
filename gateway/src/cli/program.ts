import { LatchkeyError } from '@latchkey/shared'
import { Command, CommanderError } from 'commander'
import { version } from '../version.ts'
import { addBudgetCommands } from './budgets.ts'
import { addDoctorCommand } from './doctor/command.ts'
import { CommandFailure, exitCode } from './exit-code.ts'
import { addGroupCommands } from './groups.ts'
import { addKeyCommands } from './keys.ts'
import { addOrganizationCommands } from './organization.ts'
import { addPriceCommands } from './prices.ts'
import { addProviderKeyCommands } from './provider-keys.ts'
import { addRequestCommands } from './requests.ts'
import { addServeCommand } from './serve.ts'
import { addSimulateCommand } from './simulate.ts'
import type { Surroundings } from './surroundings.ts'
import { addUsageCommand } from './usage.ts'
import { addVaultCommands } from './vault.ts'

/** Runs one command line (without node and the script) and gives what the process shall end with. Throws nothing. */
export async function run(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const { terminal } = surroundings
  try {
    await createProgram(surroundings).parseAsync([...argv], { from: 'user' })
    return terminal.exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.ok : exitCode.usage
    if (error instanceof CommandFailure) {
      terminal.note(error.message)
      return error.exitCode
    }
    if (error instanceof LatchkeyError) {
      terminal.note(error.message)
      return error.fault.planes.includes('start') ? error.fault.status : exitCode.failure
    }
    throw error
  }
}

/** Every command, with its options and its help. */
export function createProgram(surroundings: Surroundings): Command {
  const { stdout, stderr } = surroundings.terminal.streams
  // Before the commands are added: they inherit these settings.
  const program = new Command('latchkey')
    .description('A gateway for LLM providers with a key vault: give people a latchkey, keep the master key.')
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
    })
    .showHelpAfterError('Add --help to see how.')
    .addHelpText(
      'after',
      `
Which gateway: the one that runs on the data directory (LATCHKEY_DATA_DIR, else ./.latchkey), or the one
that LATCHKEY_URL and LATCHKEY_TOKEN name. With --json, results are one JSON document on standard output.
Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 69 no gateway, 77 token refused, 78 wrong setting.`,
    )
  addServeCommand(program, surroundings)
  addProviderKeyCommands(program, surroundings)
  addKeyCommands(program, surroundings)
  addGroupCommands(program, surroundings)
  addOrganizationCommands(program, surroundings)
  addBudgetCommands(program, surroundings)
  addRequestCommands(program, surroundings)
  addUsageCommand(program, surroundings)
  addVaultCommands(program, surroundings)
  addPriceCommands(program, surroundings)
  addSimulateCommand(program, surroundings)
  addDoctorCommand(program, surroundings)
  return program
}
