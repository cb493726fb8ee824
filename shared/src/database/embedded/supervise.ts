import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../clock.ts'
import { errorFields, type Log } from '../../log.ts'
import type { Server } from './server.ts'

/** A server that is started again whenever it dies, until it is stopped. */
export interface Supervised {
  /** The one that runs or, during a restart, the last one. */
  readonly current: Server
  readonly restarts: number
  stop(): Promise<void>
}

const firstBackoffMs = 100
const longestBackoffMs = 5_000
// A server that has lived this long was sound: its death is not one of a series.
const soundRunMs = 60_000

/**
 * Keeps a server alive. The first launch must succeed, else its error is thrown. Later ones are
 * repeated for as long as it takes: at once, then after 100 ms, doubling up to 5 s.
 */
export async function supervise(
  launch: (signal: AbortSignal) => Promise<Server>,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<Supervised> {
  const stopping = new AbortController()
  let current = await launch(stopping.signal)
  let restarts = 0
  const watching = watch()
  let stopped: Promise<void> | null = null

  async function watch(): Promise<void> {
    let failures = 0
    for (;;) {
      const launchedAt = clock.monotonic()
      const { exitCode, signal } = await current.exited
      if (stopping.signal.aborted) return
      log.error('postgres.exited', { pid: current.pid, exitCode, signal })
      failures = clock.monotonic() - launchedAt < soundRunMs ? failures + 1 : 1
      const next = await relaunch()
      if (next === null) return
      current = next
      restarts++
    }

    /** Null where it is to stop instead. */
    async function relaunch(): Promise<Server | null> {
      for (; ; failures++) {
        try {
          await delay(backoff(failures), undefined, { signal: stopping.signal })
          const server = await launch(stopping.signal)
          if (!stopping.signal.aborted) return server
          await server.stop()
          return null
        } catch (error) {
          if (stopping.signal.aborted) return null
          log.error('postgres.restart_failed', { attempt: failures, ...errorFields(error) })
        }
      }
    }
  }

  async function stop(): Promise<void> {
    stopping.abort()
    await current.stop()
    await watching
    log.info('postgres.stopped', { pid: current.pid })
  }

  return {
    get current() {
      return current
    },
    get restarts() {
      return restarts
    },
    stop() {
      stopped ??= stop()
      return stopped
    },
  }
}

function backoff(failures: number): number {
  return failures <= 1 ? 0 : Math.min(longestBackoffMs, firstBackoffMs * 2 ** (failures - 2))
}
