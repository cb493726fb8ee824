// Measures the gateway beside a bare proxy, nginx and its peers: `npm run bench`. What it measures, and what the
// figures mean, stands in docs/performance.md.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { compare } from './compare.ts'
import { type Options, readOptions, usage } from './options.ts'
import { profile } from './profile.ts'
import { markdownOf } from './report.ts'
import type { Results } from './results.ts'
import { requireTool } from './tools.ts'
import { writeDocs } from './write-docs.ts'

const results = join(import.meta.dirname, 'results')

try {
  const options = readOptions(process.argv.slice(2))
  if (options === null) print(usage)
  else await run(options)
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}

async function run(options: Options): Promise<void> {
  if (process.platform !== 'linux') throw new Error('The benchmark reads /proc: it runs on Linux.')
  requireTool('wrk')
  if (options.targets.has('nginx')) requireTool('nginx')
  if (options.mode === 'profile') {
    print(await profile(options, say))
    return
  }
  const found = await compare(options, say, keep)
  const markdown = markdownOf(found)
  print(options.json ? JSON.stringify(found) : markdown)
  if (options.writeDocs) writeDocs(markdown)
}

/** Writes what a run has found so far, in place of what it had found before. */
function keep(found: Results): void {
  mkdirSync(results, { recursive: true })
  const name = join(results, found.startedAt.replaceAll(':', '-').slice(0, 19))
  writeFileSync(`${name}.json`, `${JSON.stringify(found, null, 2)}\n`)
  writeFileSync(`${name}.md`, `${markdownOf(found)}\n`)
}

/** Progress, which is no result. */
function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
