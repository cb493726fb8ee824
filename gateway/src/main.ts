import { crashFields, createLog, systemClock, systemRandom } from '@latchkey/shared'
import { readConfig } from './config.ts'
import { type Gateway, startGateway } from './runtime/gateway.ts'

/** Where a gateway that serves is reached: origins, without a path. */
export interface Serving {
  readonly dataUrl: string
  readonly adminUrl: string
  /** Whose Postgres it is on. */
  readonly mode: Gateway['mode']
}

/**
 * Resolves once it serves, which it does until SIGTERM or SIGINT: then it drains and ends the
 * process. Throws a fault of the `start` plane where it can't start.
 */
export async function serve(env: NodeJS.ProcessEnv): Promise<Serving> {
  const config = readConfig(env)
  const log = createLog(config.logLevel)
  // What nobody expected ends the process, without printing what the error may quote. The embedded Postgres is told to
  // stop on the way out.
  process.on('uncaughtException', (error) => {
    log.error('process.crashed', crashFields(error))
    process.exit(70)
  })
  let stopping = false
  let stop: (() => Promise<void>) | null = null
  const onSignal = (signal: NodeJS.Signals) => {
    // npm passes on the signal that the whole group has got already: the second one changes nothing.
    if (stopping) return
    stopping = true
    log.info('gateway.stopping', { signal })
    void stop?.().then(() => process.exit(0))
  }
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal).on('SIGHUP', onSignal)

  const gateway = await startGateway(config, { clock: systemClock, random: systemRandom, log })
  stop = () => gateway.stop()
  log.info('gateway.ready', { url: gateway.dataUrl, pid: process.pid, dataDirectory: config.dataDirectory })
  if (stopping) await gateway.stop().then(() => process.exit(0))
  return gateway
}
