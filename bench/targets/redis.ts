import { freePort } from '../../tests/support/free-port.ts'
import { listensOn, type Program, startProgram } from '../program.ts'
import { findTool } from '../tools.ts'

/** A Redis for one run. */
export interface ThrowAwayRedis extends Program {
  readonly url: string
}

/** Starts one on `core`. Throws with the line that installs it where there is none. */
export async function startRedis(directory: string, core: string | null): Promise<ThrowAwayRedis> {
  const server = findTool('redis-server') ?? findTool('valkey-server')
  if (server === null)
    throw new Error(
      'redis-server is not installed. On Debian and Ubuntu: sudo apt-get install -y redis-server',
    )
  const port = await freePort()
  const program = await startProgram({
    name: 'redis',
    command: [server, '--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    core,
    directory,
    isReady: () => listensOn(port),
  })
  return { ...program, url: `redis://127.0.0.1:${port}` }
}
