import { existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lockDataDirectory, systemClock, systemRandom } from '@latchkey/shared'
import { expect, onTestFinished, test } from 'vitest'
import { announcedGateways } from '../../gateway/src/runtime/announced-gateways.ts'
import { writeAnnouncement } from '../../gateway/src/runtime/announcement.ts'
import { processDirectories, takeProcessDirectory } from '../../gateway/src/runtime/process-directory.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

function take(dataDirectory: string) {
  const directory = takeProcessDirectory(dataDirectory, systemClock, systemRandom)
  onTestFinished(() => directory.release())
  return directory
}

/** What a process leaves that was killed `ago` milliseconds ago. */
function leave(dataDirectory: string, name: string, ago: number): string {
  const directory = join(dataDirectory, 'processes', name)
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'gateway.lock'), '')
  const then = new Date(Date.now() - ago)
  utimesSync(directory, then, then)
  return directory
}

test('processes share a data directory, each with a private directory that is gone when it has ended', () => {
  const dataDirectory = join(temporaryDirectory(), 'data')
  const first = take(dataDirectory)
  const second = take(dataDirectory)
  expect(statSync(dataDirectory).mode & 0o777).toBe(0o700)
  expect(statSync(first.path).mode & 0o777).toBe(0o700)
  expect(processDirectories(dataDirectory).toSorted()).toEqual([first.path, second.path].toSorted())
  first.release()
  expect(processDirectories(dataDirectory)).toEqual([second.path])
})

test('a start removes what killed processes left, and nothing of those that live or are starting', () => {
  const dataDirectory = temporaryDirectory()
  const dead = leave(dataDirectory, 'dead', 120_000)
  const living = leave(dataDirectory, 'living', 120_000)
  const starting = leave(dataDirectory, 'starting', 1_000)
  const lock = lockDataDirectory(living)
  utimesSync(living, new Date(0), new Date(0))
  onTestFinished(() => lock.release())
  take(dataDirectory)
  expect([dead, living, starting].map((directory) => existsSync(directory))).toEqual([false, true, true])
})

test('a gateway counts as alive while it holds its lock, whatever its pid', () => {
  const dataDirectory = temporaryDirectory()
  const announcement = {
    pid: process.pid,
    dataUrl: 'http://127.0.0.1:1',
    adminUrl: 'http://127.0.0.1:2',
    version: '0.0.0',
    startedAt: '2026-01-01T00:00:00.000Z',
  }
  writeAnnouncement(leave(dataDirectory, 'dead', 0), announcement)
  writeAnnouncement(take(dataDirectory).path, announcement)
  expect(
    announcedGateways(dataDirectory)
      .map((each) => each.alive)
      .toSorted(),
  ).toEqual([false, true])
})

test('sockets go elsewhere where the data directory has too long a path for them, and are gone at the end', () => {
  const dataDirectory = join(temporaryDirectory(), 'x'.repeat(120))
  const directory = take(dataDirectory)
  expect(join(directory.socketDirectory, 'warm.sock').length).toBeLessThan(104)
  expect(statSync(directory.socketDirectory).mode & 0o777).toBe(0o700)
  directory.release()
  expect(existsSync(directory.socketDirectory)).toBe(false)
  expect(readdirSync(join(dataDirectory, 'processes'))).toEqual([])
})
