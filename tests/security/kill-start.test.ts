import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import {
  type KillableGateway,
  processesNaming,
  serversOf,
  startKillableGateway,
  untilEntry,
} from './killable-gateway.ts'

/** In the order in which a first start comes to them; each start goes on where the one before was killed. */
const moments: readonly (readonly [string, (gateway: KillableGateway) => Promise<void>])[] = [
  ['as it takes the data directory', ({ dataDirectory }) => untilEntry(dataDirectory, 'gateway.pid')],
  ['as initdb begins', ({ dataDirectory }) => untilEntry(dataDirectory, 'postgres.new-')],
  [
    'in the middle of initdb',
    ({ dataDirectory }) => untilEntry(dataDirectory, 'postgres.new-').then(() => delay(400)),
  ],
  ['when the cluster is made', (gateway) => gateway.logged('postgres.initialized')],
  [
    'as Postgres starts',
    ({ dataDirectory }) => untilEntry(join(dataDirectory, 'postgres'), 'postmaster.pid'),
  ],
  ['before the migration', (gateway) => gateway.logged('postgres.started')],
  ['in the migration', (gateway) => gateway.logged('postgres.started').then(() => delay(15))],
  ['later in the migration', (gateway) => gateway.logged('postgres.started').then(() => delay(35))],
  ['after the migration', (gateway) => gateway.logged('database.migrated')],
  ['as the keyring is made', (gateway) => gateway.logged('database.migrated').then(() => delay(10))],
  ['when the keyring is made', (gateway) => gateway.logged('keyring.created')],
  ['as it warms up', ({ dataDirectory }) => untilEntry(dataDirectory, 'admin.token')],
]

test('a first start that is killed at any moment is completed by the starts after it', {
  timeout: 90_000,
}, async () => {
  const directory = temporaryDirectory()
  for (const [moment, reached] of moments) {
    const gateway = startKillableGateway(directory)
    // A moment that an earlier start has got over already does not come again: then it is killed when it serves.
    await Promise.race([reached(gateway), gateway.ready()]).catch((error: unknown) => {
      throw new Error(`killed ${moment}`, { cause: error })
    })
    await gateway.kill()
  }

  const gateway = startKillableGateway(directory)
  await gateway.ready()
  expect(serversOf(directory)).toHaveLength(1)
  expect(await gateway.admin('POST', '/vault/verify', {})).toEqual({
    status: 200,
    text: JSON.stringify({ providerKeys: 0, proxyKeys: 0, bodyKeys: 0, damaged: [] }),
  })
  const added = await gateway.admin('POST', '/provider-keys', { name: 'try', provider: 'simulator' })
  expect(added.status).toBe(201)
  expect((await gateway.admin('POST', '/keys', { name: 'alice', providerKeys: ['try'] })).status).toBe(201)

  expect(await gateway.stop()).toBe(0)
  expect(processesNaming(directory)).toEqual([])
  const left = readdirSync(directory).filter((name) => /\.new|tmp|gateway\.pid|gateway\.json/.test(name))
  expect(left).toEqual([])
})
