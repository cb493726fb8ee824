import type { Command } from 'commander'
import type { Surroundings } from './surroundings.ts'

/** `latchkey serve`: the gateway itself, in the foreground. */
export function addServeCommand(program: Command, { env, terminal }: Surroundings): void {
  program
    .command('serve')
    .description('run the gateway in the foreground, until SIGTERM or Ctrl-C')
    .option(
      '--workers <n>',
      'processes that serve on one port, with DATABASE_URL: 1 to 64, or auto for one a core (LATCHKEY_WORKERS)',
    )
    .addHelpText(
      'after',
      `
Settings come from the environment; the README lists them. The most used:
  LATCHKEY_PORT        where applications send requests (8787)
  LATCHKEY_ADMIN_PORT  where this command line and the admin API are (8788)
  LATCHKEY_DATA_DIR    what it keeps (./.latchkey)
  DATABASE_URL         a PostgreSQL of your own, for several processes; else it brings one`,
    )
    .action(async ({ workers }: { readonly workers?: string }) => {
      // Only here: loading the gateway takes longer than any other command runs.
      const { readConfig } = await import('../config.ts')
      const settings = workers === undefined ? env : { ...env, LATCHKEY_WORKERS: workers }
      const config = readConfig(settings)
      if (config.workers > 1) {
        const { becomeSupervisor } = await import('../runtime/workers/become-supervisor.ts')
        becomeSupervisor(config, settings)
      }
      const { serve } = await import('../main.ts')
      const serving = await serve(settings)
      const { servingNote } = await import('../serving-note.ts')
      if (terminal.streams.stderr.isTTY) terminal.note(servingNote(serving))
    })
}
