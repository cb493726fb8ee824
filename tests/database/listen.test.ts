import { EventEmitter, once } from 'node:events'
import { queryObjects } from 'node:v8'
import { postgresListener } from '@latchkey/shared/database'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { startTestDatabase } from '../support/database.ts'
import { recordLog } from '../support/recorded-log.ts'
import { severableSocket } from '../support/severable-socket.ts'

const attempts = 4

/** How many connections are in memory, after everything that can be collected is. */
function clients(): number {
  return queryObjects(pg.Client, { format: 'count' })
}

async function listen() {
  const database = await startTestDatabase()
  onTestFinished(() => database.close())
  const socket = await severableSocket(database.connection)
  onTestFinished(() => socket.close())
  const [log, emitter, before] = [recordLog(), new EventEmitter(), clients()]
  const subscription = postgresListener(socket.connection, log).subscribe('test', () => emitter.emit('heard'))
  onTestFinished(() => subscription.close())
  await once(emitter, 'heard')
  return { socket, log, heard: () => once(emitter, 'heard'), kept: () => clients() - before }
}

test('connections that broke are forgotten', async () => {
  const { socket, heard, kept } = await listen()
  for (let count = 0; count < attempts; count++) {
    const again = heard()
    await socket.cut()
    await socket.mend()
    await again
  }
  // The one there is, and at most the one before.
  expect(kept()).toBeLessThanOrEqual(2)
})

test('connections that could not be made are forgotten', async () => {
  const { socket, log, kept } = await listen()
  await socket.cut()
  for (let count = 0; count < attempts; count++) await log.next('database.listen_failed')
  expect(kept()).toBeLessThanOrEqual(2)
})
