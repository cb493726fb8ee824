import type { Command } from 'commander'
import { exitCode } from '../exit-code.ts'
import type { Surroundings } from '../surroundings.ts'
import { printable } from '../terminal.ts'

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
      // Only here: what it looks at takes long to load.
      const { examine } = await import('./examine.ts')
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
