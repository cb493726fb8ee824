import type { Command } from 'commander'
import type { Surroundings } from './surroundings.ts'

const perProcess = `  Without Redis, rate limits count in each process by itself; budgets hold for all of them together.
`

/** `latchkey serve`: the gateway itself, in the foreground. */
export function addServeCommand(program: Command, { env, terminal }: Surroundings): void {
  program
    .command('serve')
    .description('run the gateway in the foreground, until SIGTERM or Ctrl-C')
    .addHelpText(
      'after',
      `
Settings come from the environment; the README lists them. The most used:
  LATCHKEY_PORT        where applications send requests (8787)
  LATCHKEY_ADMIN_PORT  where this command line and the admin API are (8788)
  LATCHKEY_DATA_DIR    what it keeps (./.latchkey)
  DATABASE_URL         a PostgreSQL of your own, for several processes; else it brings one`,
    )
    .action(async () => {
      // Only here: loading the gateway takes longer than any other command runs.
      const { serve } = await import('../main.ts')
      const { dataUrl, adminUrl, mode } = await serve(env)
      // For whoever started it by hand; a supervisor reads the log lines alone.
      if (!terminal.streams.stderr.isTTY) return
      terminal.note(`
  Latchkey serves. Point SDKs at ${dataUrl}/v1; the admin plane is at ${adminUrl}.
  Next, in another terminal:  npx --no-install latchkey provider-keys add sim --provider simulator
                              npx --no-install latchkey keys create alice --provider-key sim
  Ctrl-C stops it once running requests have ended.
${mode === 'server' ? perProcess : ''}`)
    })
}
