import { type BodyDirection, type RequestId, systemClock, systemRandom, uuidv7 } from '@latchkey/shared'
import type { BodyPlace, Vault } from '@latchkey/vault'
import { expect, test } from 'vitest'
import { testVault, vaultOfSuite } from './fixture.ts'

const suite = vaultOfSuite()
const text = Buffer.from('{"content":"canary in a body"}')

function placeIn({ defaultOrganizationId }: Vault, direction: BodyDirection = 'request'): BodyPlace {
  const requestId = uuidv7<RequestId>(systemClock, systemRandom)
  return { organizationId: defaultOrganizationId, requestId, direction }
}

async function opened(vault: Vault, place: BodyPlace, envelope: Uint8Array): Promise<string> {
  const body = await vault.bodies.open(place, envelope)
  return body.kind === 'opened' ? Buffer.from(body.plaintext).toString() : body.kind
}

test('a body opens for its own request, direction and organization, and nowhere else', async () => {
  const { vault } = suite()
  const place = placeIn(vault)
  const envelope = await vault.bodies.seal(place, text)
  expect(envelope.includes('canary')).toBe(false)
  expect(await opened(vault, place, envelope)).toBe(text.toString())
  const other = placeIn(vault).requestId
  expect(await opened(vault, { ...place, direction: 'response' }, envelope)).toBe('damaged')
  expect(await opened(vault, { ...place, requestId: other }, envelope)).toBe('damaged')
  const organizationId = uuidv7<BodyPlace['organizationId']>(systemClock, systemRandom)
  expect(await opened(vault, { ...place, organizationId }, envelope)).toBe('damaged')
  for (const at of [5, 50, envelope.length - 1]) {
    const changed = Buffer.from(envelope)
    changed[at] = (changed[at] ?? 0) ^ 1
    expect(await opened(vault, place, changed)).toBe('damaged')
  }
  expect(await opened(vault, place, Buffer.from('nothing'))).toBe('damaged')
})

test('each body has a record key of its own, and one key of its day', async () => {
  const { vault, database } = suite()
  const place = placeIn(vault)
  const envelopes = await Promise.all(Array.from({ length: 5 }, () => vault.bodies.seal(place, text)))
  expect(new Set(envelopes.map((envelope) => envelope.toString('hex'))).size).toBe(5)
  const { rows } = await database.pool.query('select distinct day from body_key')
  expect(rows).toHaveLength(1)
})

test('what one process seals another one opens, also where both make the day’s key at once', async () => {
  const fixture = await testVault()
  const other = await fixture.open()
  const vaults = [fixture.vault, other]
  const place = placeIn(other)
  const envelopes = await Promise.all(vaults.map((vault) => vault.bodies.seal(place, text)))
  for (const vault of [...vaults, await fixture.open()])
    for (const envelope of envelopes) expect(await opened(vault, place, envelope)).toBe(text.toString())
})

test('a rotation of the keyring moves the days’ keys and touches no body', async () => {
  const fixture = await testVault()
  const { vault, database } = fixture
  const place = placeIn(vault)
  const envelope = await vault.bodies.seal(place, text)
  const { rows: before } = await database.pool.query('select envelope from body_key')
  const [rotation] = await vault.rotateKeyring(['secret'])
  expect(rotation?.rows).toBe(1)
  const { rows: after } = await database.pool.query('select envelope from body_key')
  expect(after).not.toEqual(before)
  expect(Buffer.from(after[0].envelope).readUInt32BE(4)).toBe(2)
  expect(await opened(vault, place, envelope)).toBe(text.toString())
  expect(await opened(await fixture.open(), place, envelope)).toBe(text.toString())
})

test('sealed, nothing is sealed or opened; unsealed, what was stored opens again', async () => {
  const { vault } = await testVault()
  const place = placeIn(vault)
  const envelope = await vault.bodies.seal(place, text)
  await vault.seal()
  await expect(vault.bodies.seal(place, text)).rejects.toMatchObject({ code: 'vault_sealed' })
  await expect(vault.bodies.open(place, envelope)).rejects.toMatchObject({ code: 'vault_sealed' })
  await vault.unseal()
  expect(await opened(vault, place, envelope)).toBe(text.toString())
})

test('the verification opens every day’s key, and names the day of one that was changed or moved', async () => {
  const fixture = await testVault()
  const { vault, database } = fixture
  const place = placeIn(vault)
  const envelope = await vault.bodies.seal(place, text)
  expect(await vault.verifyAll()).toMatchObject({ bodyKeys: 1, damaged: [] })
  await database.pool.query('update body_key set day = day - 1')
  const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10)
  expect((await vault.verifyAll()).damaged).toMatchObject([{ kind: 'body-key', name: yesterday }])
  expect(await opened(await fixture.open(), place, envelope)).toBe('damaged')
})
