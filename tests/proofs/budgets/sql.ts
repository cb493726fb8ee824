import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { nanoUsd } from '@latchkey/shared'
import type { Surroundings, Trial } from './trial.ts'

const script = fileURLToPath(new URL('../budget-sql.ts', import.meta.url))
const seconds = { quick: 5, full: 60 } as const
const none = nanoUsd(0n)

/** Scenario 7: the statements alone, from sixteen connections at random, against a model. */
export async function sql({ size, say }: Surroundings): Promise<readonly Trial[]> {
  const name = `the SQL alone, for ${seconds[size]} s`
  say(name)
  const child = spawn(process.execPath, ['--conditions=source', script, String(seconds[size])], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => lines.push(line))
  const [code] = await once(child, 'close')
  say(`  ${lines.join('\n  ')}`)
  return [
    {
      name,
      processes: 0,
      requests: 0,
      figures: { charges: none, settled: none, leased: none, unsettled: none, overage: none, limit: none },
      measured: [],
      violations: code === 0 ? [] : lines,
    },
  ]
}
