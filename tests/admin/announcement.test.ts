import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  type Announcement,
  isProcessAlive,
  readAnnouncement,
  removeAnnouncement,
  writeAnnouncement,
} from '../../gateway/src/runtime/announcement.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const announcement: Announcement = {
  pid: process.pid,
  dataUrl: 'http://127.0.0.1:8787',
  adminUrl: 'http://127.0.0.1:8788',
  version: '1.2.3',
  startedAt: '2026-01-02T03:04:05.000Z',
}

test('what a gateway announces is read back, by its owner alone, and nothing else is left', () => {
  const directory = temporaryDirectory()
  expect(readAnnouncement(directory)).toBeNull()
  writeAnnouncement(directory, announcement)
  expect(readAnnouncement(directory)).toEqual(announcement)
  expect(statSync(join(directory, 'gateway.json')).mode & 0o777).toBe(0o600)
  expect(readdirSync(directory)).toEqual(['gateway.json'])
})

test.each(['', '{', 'null', '{"pid":0}', '{"pid":1,"dataUrl":"x"}'])(
  'what no gateway wrote is none: %j',
  (text) => {
    const directory = temporaryDirectory()
    writeFileSync(join(directory, 'gateway.json'), text)
    expect(readAnnouncement(directory)).toBeNull()
  },
)

test('a gateway takes back its own announcement and not that of its successor', () => {
  const directory = temporaryDirectory()
  writeAnnouncement(directory, { ...announcement, pid: process.pid + 1 })
  removeAnnouncement(directory, process.pid)
  expect(readAnnouncement(directory)).not.toBeNull()
  removeAnnouncement(directory, process.pid + 1)
  expect(readAnnouncement(directory)).toBeNull()
})

test('a process is alive while it runs, whoever owns it', () => {
  expect(isProcessAlive(process.pid)).toBe(true)
  expect(isProcessAlive(1)).toBe(true)
  expect(isProcessAlive(2 ** 22 + 1)).toBe(false)
})
