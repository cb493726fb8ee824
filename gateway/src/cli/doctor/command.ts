import type { Command } from 'commander'
import { exitCode } from '../exit-code.ts'
import type { Surroundings } from '../surroundings.ts'
import { printable } from '../terminal.ts'
import { checkClock } from './clock.ts'
import { checkDataDirectory } from './data-directory.ts'
import { checkDatabase } from './database.ts'
import type { Finding } from './finding.ts'
import { checkLock } from './lock.ts'
import { checkNode } from './node-version.ts'
import { checkPorts } from './ports.ts'
import { checkProviders } from './providers.ts'
import { checkRootKey } from './root-key.ts'
import { checkGateway, checkSettings } from './settings.ts'
import { gatherSituation } from './situation.ts'

interface DoctorOptions {
  readonly network: boolean
  readonly json?: true
}

const colours = { ok: 'green', warn: 'yellow', fail: 'red' } as const

/** `latchkey doctor`: looks at everything that a gateway needs, and changes nothing. */
export function addDoctorCommand(program: Command, surroundings: Surroundings): void {
  const { terminal } = surroundings
  program
    .command('doctor')
    .description('look for what is wrong, and say what to do; changes nothing')
    .option('--no-network', 'do not connect to the providers of the stored keys')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nIt ends with 1 if any check fails. It works with and without a running gateway.')
    .action(async (options: DoctorOptions) => {
      const findings = await examine(surroundings, options.network)
      if (findings.some((finding) => finding.outcome === 'fail')) terminal.exitCode = exitCode.failure
      if (options.json) return terminal.json(findings)
      for (const { outcome, check, detail, advice } of findings) {
        const mark = terminal.style(colours[outcome], outcome.padEnd(4))
        terminal.line(`${mark}  ${check.padEnd(14)}  ${printable(detail)}`)
        if (advice !== null) terminal.line(`${' '.repeat(22)}${printable(advice)}`)
      }
    })
}

async function examine(surroundings: Surroundings, network: boolean): Promise<readonly Finding[]> {
  const situation = await gatherSituation(surroundings)
  return [
    checkNode(),
    checkSettings(situation.settings),
    ...checkDataDirectory(situation.dataDirectory),
    ...(situation.server === null ? [checkLock(situation)] : []),
    ...(await checkPorts(situation)),
    ...checkRootKey(situation),
    checkGateway(situation.gateway),
    await checkDatabase(situation),
    ...(network ? await checkProviders(situation) : []),
    checkClock(situation),
  ]
}
