// How long 300 keys take, from a CSV file to a CSV file. `npm run prove-bulk`
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { latchkey, startGatewayProcess } from '../cli/latchkey-process.ts'

const count = 300
const mostMs = 10_000

const directory = mkdtempSync(join(tmpdir(), 'latchkey-proof-'))
const gateway = await startGatewayProcess()
try {
  const csv = join(directory, 'people.csv')
  const out = join(directory, 'keys.csv')
  const rows = Array.from({ length: count }, (_each, index) => `person ${index},p${index}@example.org,4.00\n`)
  writeFileSync(csv, `name,email,budget\n${rows.join('')}`)
  for (const args of [
    ['provider-keys', 'add', 'try', '--provider', 'simulator'],
    ['groups', 'create', 'hack-2026', '--budget', '1200'],
  ])
    await succeed(args)
  const began = performance.now()
  await succeed(['keys', 'bulk', '--group', 'hack-2026', '--csv', csv, '--out', out])
  const ms = performance.now() - began
  const lines = readFileSync(out, 'utf8').trimEnd().split('\n').length
  process.stdout.write(
    `${lines - 1} keys with budgets in ${(ms / 1000).toFixed(1)} s, the command's own start included\n`,
  )
  process.exitCode = ms <= mostMs && lines === count + 1 ? 0 : 1
} finally {
  await gateway.discard()
  rmSync(directory, { recursive: true, force: true })
}

async function succeed(args: readonly string[]): Promise<void> {
  const ended = await latchkey(args, gateway.settings)
  if (ended.status !== 0) throw new Error(ended.stderr)
}
