import { execFile } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** How a peer is installed, in a directory of its own outside the project. */
export interface Installation {
  readonly name: string
  /** Below that directory: it is there once the peer is installed. */
  readonly program: string
  /** Run one after the other in that directory. */
  readonly commands: readonly (readonly string[])[]
}

/** Installs a peer where it isn't yet, which is kept for the next run. Gives its directory; throws with what the installer said. */
export async function install({ name, program, commands }: Installation): Promise<string> {
  const directory = join(tmpdir(), 'latchkey-bench', 'peers', name)
  if (existsSync(join(directory, program))) return directory
  mkdirSync(directory, { recursive: true })
  for (const [file = '', ...args] of commands) {
    try {
      await promisify(execFile)(file, args, { cwd: directory, maxBuffer: 2 ** 26 })
    } catch (error) {
      const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)
      throw new Error(`${[file, ...args].join(' ')}: ${said.trim().slice(-300)}`, { cause: error })
    }
  }
  return directory
}
