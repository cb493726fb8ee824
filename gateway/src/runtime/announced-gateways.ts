import { lockHolder } from '@latchkey/shared'
import { type Announcement, readAnnouncement } from './announcement.ts'
import { processDirectories } from './process-directory.ts'

/** A gateway that has announced itself in a data directory and not taken it back. */
export interface AnnouncedGateway extends Announcement {
  /** By its lock: a dead gateway's port and pid may be other programs' by now, which must not be sent a token. */
  readonly alive: boolean
}

/** The gateways of a data directory: the one that has it for itself, and those that share it, on a database of their own. */
export function announcedGateways(dataDirectory: string): readonly AnnouncedGateway[] {
  return [dataDirectory, ...processDirectories(dataDirectory)].flatMap((directory) => {
    const announced = readAnnouncement(directory)
    return announced === null ? [] : [{ ...announced, alive: lockHolder(directory) === announced.pid }]
  })
}
