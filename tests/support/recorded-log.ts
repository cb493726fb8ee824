import { EventEmitter, once } from 'node:events'
import type { Log, LogFields } from '@latchkey/shared'

export interface RecordedLog extends Log {
  readonly events: readonly { readonly event: string; readonly fields: LogFields }[]
  /** Resolves at the next time that `event` is logged. */
  next(event: string): Promise<void>
}

/** A log that tests can read, and wait for. */
export function recordLog(): RecordedLog {
  const emitter = new EventEmitter()
  const events: { readonly event: string; readonly fields: LogFields }[] = []
  const record = (event: string, fields: LogFields = {}) => {
    events.push({ event, fields })
    emitter.emit(event)
  }
  return {
    events,
    async next(event) {
      await once(emitter, event)
    },
    debug: record,
    info: record,
    warn: record,
    error: record,
    debugging: true,
  }
}
