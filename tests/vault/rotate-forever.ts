/**
 * A process that rotates, mints and writes without end, to be killed from outside. What it has made it
 * says on standard output, one JSON line each, after the vault has answered.
 */
import { createLog, Secret, type SocketConnection, systemClock, systemRandom } from '@latchkey/shared'
import { connectDatabase } from '@latchkey/shared/database'
import { openPolicy, openVault } from '@latchkey/vault'
import { z } from 'zod'

const connection: SocketConnection = z
  .object({ host: z.string(), port: z.number(), user: z.string(), database: z.string() })
  .parse(JSON.parse(process.argv[2] ?? ''))
const log = createLog('silent')
const database = connectDatabase({
  connection,
  maxConnections: 5,
  statementTimeoutMs: 10_000,
  applicationName: 'latchkey-tests-killed',
  log,
})
const vault = await openVault({
  db: database.kysely,
  rootKey: { kind: 'file', path: process.argv[3] ?? '' },
  clock: systemClock,
  random: systemRandom,
  log,
  // Those that were killed before it say nothing, and seem alive for a while.
  peerPatienceMs: 50,
})
const organizationId = vault.defaultOrganizationId

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

async function rotateRoots(): Promise<never> {
  for (;;) {
    await vault.rotateRoot()
    say({ kind: 'root-rotated' })
  }
}

async function rotateKeyrings(): Promise<never> {
  for (;;) {
    await vault.rotateKeyring(['secret', 'pepper'])
    say({ kind: 'keyring-rotated' })
  }
}

async function write(): Promise<never> {
  for (let count = 0; ; count++) {
    const name = `key-${process.pid}-${count}`
    const secret = `sk-${Buffer.from(systemRandom(16)).toString('hex')}`
    await vault.providerKeys.add({
      organizationId,
      name,
      provider: 'openai',
      baseUrl: 'https://api.openai.com/v1',
      secret: new Secret(secret),
    })
    const created = await vault.proxyKeys.create({
      organizationId,
      name,
      description: '',
      tags: [],
      policy: openPolicy,
      expiresAt: null,
      providerKeys: [name],
    })
    if (created.kind !== 'created') throw new Error(created.kind)
    say({ kind: 'made', token: created.token.reveal(), secret })
    const rotated = await vault.proxyKeys.rotate(organizationId, created.key.id)
    if (rotated.kind !== 'rotated') throw new Error(rotated.kind)
    say({ kind: 'made', token: rotated.token.reveal(), secret })
  }
}

say({ kind: 'open' })
await Promise.all([rotateRoots(), rotateKeyrings(), write()])
