import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '@latchkey/shared'
import { z } from 'zod'

const announcementShape = z.object({
  pid: z.number().int().positive(),
  /** Where applications, and where the CLI, reach this gateway: an origin, without a path. */
  dataUrl: z.url(),
  adminUrl: z.url(),
  version: z.string(),
  /** RFC 3339. */
  startedAt: z.iso.datetime(),
})

/** What a running gateway tells whoever can read its data directory: where it listens. */
export type Announcement = Readonly<z.infer<typeof announcementShape>>

function announcementFile(dataDirectory: string): string {
  return join(dataDirectory, 'gateway.json')
}

/** Replaces `gateway.json` in one step: a reader sees the old one or the new one, whole. */
export function writeAnnouncement(dataDirectory: string, announcement: Announcement): void {
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 })
  const file = announcementFile(dataDirectory)
  const draft = `${file}.${announcement.pid}`
  writeFileSync(draft, `${JSON.stringify(announcement, null, 2)}\n`, { mode: 0o600 })
  renameSync(draft, file)
}

/** The announcement of the last gateway on this directory, or null. It may have died since: ask its pid. */
export function readAnnouncement(dataDirectory: string): Announcement | null {
  let text: string
  try {
    text = readFileSync(announcementFile(dataDirectory), 'utf8')
  } catch {
    return null
  }
  try {
    return announcementShape.parse(JSON.parse(text))
  } catch {
    return null
  }
}

/** Takes the announcement back, if it is still this process's own. */
export function removeAnnouncement(dataDirectory: string, pid: number): void {
  if (readAnnouncement(dataDirectory)?.pid === pid) rmSync(announcementFile(dataDirectory), { force: true })
}

/** Whether a process of this id runs here. One of another user counts: it can't be signalled, but it is there. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errorCode(error) === 'EPERM'
  }
}
