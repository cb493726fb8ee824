import type { StatusWire } from '@latchkey/shared'

const perProcess = `  Without Redis, rate limits count in each process by itself; budgets hold for all of them together.
`

/** What whoever started a gateway by hand is told once it serves; a supervisor reads the log lines alone. */
export function servingNote({
  dataUrl,
  adminUrl,
  mode,
}: {
  readonly dataUrl: string
  readonly adminUrl: string
  readonly mode: StatusWire['mode']
}): string {
  return `
  Latchkey serves. Point SDKs at ${dataUrl}/v1; the admin plane is at ${adminUrl}.
  Next, in another terminal:  npx --no-install latchkey provider-keys add sim --provider simulator
                              npx --no-install latchkey keys create alice --provider-key sim
  Ctrl-C stops it once running requests have ended.
${mode === 'server' ? perProcess : ''}`
}
