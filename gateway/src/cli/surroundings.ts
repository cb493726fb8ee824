import type { Clock } from '@latchkey/shared'
import { AdminClient } from './admin-client.ts'
import { findGateway } from './find-gateway.ts'
import type { Terminal } from './terminal.ts'

/** What every command is given: nothing reads `process` itself. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv
  readonly terminal: Terminal
  readonly clock: Clock
}

/** A client of the gateway that the environment or the data directory names. Throws `CommandFailure`. */
export function connect({ env }: Surroundings): AdminClient {
  return new AdminClient(findGateway(env))
}
