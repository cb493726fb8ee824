import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { type Program, startProgram } from '../program.ts'

/** A Postgres for one run. */
export interface ThrowAwayPostgres extends Program {
  readonly databaseUrl: string
}

const readyShape = z.object({
  pid: z.number(),
  host: z.string(),
  user: z.string(),
  database: z.string(),
})
const script = join(import.meta.dirname, 'postgres-main.ts')

/** Starts one on `core` and waits until it accepts connections. */
export async function startPostgres(parent: string, core: string | null): Promise<ThrowAwayPostgres> {
  const directory = join(parent, 'postgres')
  mkdirSync(directory, { mode: 0o700 })
  const ready = join(directory, 'ready.json')
  const program = await startProgram({
    name: 'postgres',
    command: [process.execPath, '--conditions=source', script, directory],
    core,
    directory,
    isReady: () => existsSync(ready),
  })
  const { pid, host, user, database } = readyShape.parse(JSON.parse(readFileSync(ready, 'utf8')))
  const databaseUrl = `postgres://${user}@localhost/${database}?host=${encodeURIComponent(host)}`
  // The server's own process, without the one that started it.
  return { databaseUrl, pid, stop: program.stop }
}
