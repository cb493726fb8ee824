import type { Clock, Log, RandomBytes, StatusWire } from '@latchkey/shared'
import type { DatabaseHandle } from '@latchkey/shared/database'
import type { ChangeListener } from '@latchkey/vault'

/** Where a gateway keeps its things, opened. */
export interface Storage {
  /** For people: nothing is decided by it. */
  readonly mode: StatusWire['mode']
  readonly database: DatabaseHandle
  /** One connection, for the budgets' heartbeat: it must not wait for others. */
  readonly heartbeat: DatabaseHandle
  /** Whether no other process can be on this database. */
  readonly alone: boolean
  /** Hears of changes that other processes commit. */
  readonly listener: ChangeListener
  /** A directory that only we may enter, whose path is short enough for sockets in it. */
  readonly socketDirectory: string
  /** Where this process announces itself to the command line. */
  readonly announcementDirectory: string
  /** Closes what was opened, the database last. */
  close(): Promise<void>
}

/** What a storage takes from outside its configuration. */
export interface StorageSurroundings {
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
}
