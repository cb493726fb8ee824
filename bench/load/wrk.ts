import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import { onCore } from '../cores.ts'
import { requireTool } from '../tools.ts'

/** A closed loop: each connection sends the next request when its answer has come. */
export interface WrkLoad {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Each in turn as the bearer token, in place of that in `headers`; null: none but that. */
  readonly keys: readonly string[] | null
  readonly connections: number
  readonly seconds: number
  readonly core: string | null
  /** For the files that wrk reads. */
  readonly directory: string
}

const reportShape = z.object({
  requests: z.number(),
  seconds: z.number(),
  /** Microseconds. */
  p50: z.number(),
  p99: z.number(),
  /** Answers of 400 and above, and connections that failed. */
  failed: z.number(),
})
export type WrkReport = z.infer<typeof reportShape>

const script = join(import.meta.dirname, 'wrk.lua')

/** Runs wrk to its end. Throws what it says where it can't. */
export async function runWrk(load: WrkLoad): Promise<WrkReport> {
  const files = { headers: 'wrk-headers', body: 'wrk-body', keys: 'wrk-keys' }
  const write = (name: string, text: string) => {
    const file = join(load.directory, name)
    writeFileSync(file, text)
    return file
  }
  const lines = Object.entries(load.headers).map(([name, value]) => `${name}: ${value}\n`)
  const args = [write(files.headers, lines.join('')), write(files.body, load.body)]
  if (load.keys !== null) args.push(write(files.keys, load.keys.map((key) => `${key}\n`).join('')))
  const [file = '', ...rest] = onCore(load.core, [
    ...[requireTool('wrk'), '--threads', '1', '--connections', String(load.connections)],
    ...['--duration', `${load.seconds}s`, '--timeout', '10s', '--script', script, load.url, '--', ...args],
  ])
  const { stdout } = await promisify(execFile)(file, rest)
  return reportShape.parse(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''))
}
