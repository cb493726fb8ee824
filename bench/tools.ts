import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The path of a program in `PATH`, or where Debian keeps what only root was meant to run; null: there is none. */
export function findTool(name: string): string | null {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  for (const directory of directories) {
    const file = join(directory, name)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // Not there.
    }
  }
  return null
}

/** The path of a program that the benchmark can't do without. Throws with the line that installs it. */
export function requireTool(name: string): string {
  const file = findTool(name)
  if (file === null)
    throw new Error(`${name} is not installed. On Debian and Ubuntu: sudo apt-get install -y wrk nginx`)
  return file
}
