import { crashFields, createLog, type LogFields, systemClock, systemRandom } from '@latchkey/shared'
import { readConfig } from './config.ts'
import type { Gateway } from './runtime/gateway.ts'
import { openPrivateDatabase } from './runtime/private-database.ts'
import type { WorkerChannel } from './runtime/workers/worker-channel.ts'

/** Where a gateway that serves is reached: origins, without a path. */
export interface Serving {
  readonly dataUrl: string
  readonly adminUrl: string
  /** Whose Postgres it is on. */
  readonly mode: Gateway['mode']
}

/**
 * Resolves once it serves, which it does until SIGTERM or SIGINT: then it drains and ends the
 * process. Throws a fault of the `start` plane where it can't start. With a `supervisor` it is one of several workers,
 * and ends with that one, too.
 */
export async function serve(
  env: NodeJS.ProcessEnv,
  supervisor: WorkerChannel | null = null,
): Promise<Serving> {
  const config = readConfig(env)
  const log = createLog(
    config.logLevel,
    process.stderr,
    supervisor === null ? {} : { worker: supervisor.number },
  )
  const name = supervisor === null ? 'gateway' : 'worker'
  // What nobody expected ends the process, without printing what the error may quote. The embedded Postgres is told to
  // stop on the way out.
  process.on('uncaughtException', (error) => {
    log.error('process.crashed', crashFields(error))
    process.exit(70)
  })
  let stopping = false
  let stop: (() => Promise<void>) | null = null
  const end = (cause: LogFields) => {
    // npm passes on the signal that the whole group has got already: the second one changes nothing.
    if (stopping) return
    stopping = true
    log.info(`${name}.stopping`, cause)
    void stop?.().then(() => process.exit(0))
  }
  const onSignal = (signal: NodeJS.Signals) => end({ signal })
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal).on('SIGHUP', onSignal)
  supervisor?.onSupervisorGone(() => end({ reason: 'the supervisor has gone' }))

  const surroundings = { clock: systemClock, random: systemRandom, log, siblings: supervisor }
  // It starts while the rest of the gateway is loaded, which takes longer.
  const privateDatabase =
    config.database.kind === 'embedded' ? openPrivateDatabase(config.dataDirectory, surroundings) : null
  // A failure is the gateway's to tell, once it has been loaded.
  privateDatabase?.catch(() => {})
  const { startGateway } = await import('./runtime/gateway.ts')
  const gateway = await startGateway(config, { ...surroundings, privateDatabase }).catch((error: unknown) => {
    // Nothing is left to drain: should anything keep the process all the same, a signal ends it.
    process.off('SIGTERM', onSignal).off('SIGINT', onSignal).off('SIGHUP', onSignal)
    throw error
  })
  stop = () => gateway.stop()
  const { dataDirectory } = config
  log.info(`${name}.ready`, { url: gateway.dataUrl, pid: process.pid, dataDirectory })
  supervisor?.ready({ dataUrl: gateway.dataUrl, adminUrl: gateway.adminUrl, dataDirectory })
  if (stopping) await gateway.stop().then(() => process.exit(0))
  return gateway
}
