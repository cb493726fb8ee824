import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { createLog, Secret, systemClock, systemRandom } from '@latchkey/shared'
import { openVault, type RootKeySource } from '@latchkey/vault'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startTestDatabase, type TestDatabase } from '../support/database.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { addProviderKey, intrude, testVault } from './fixture.ts'

async function database(): Promise<TestDatabase> {
  const opened = await startTestDatabase()
  onTestFinished(() => opened.close())
  return opened
}

async function open(on: TestDatabase, rootKey: RootKeySource, lines: string[] = []) {
  const log = createLog('debug', { write: (line) => void lines.push(line) })
  const vault = await openVault({ db: on.kysely, rootKey, clock: systemClock, random: systemRandom, log })
  onTestFinished(() => vault.close())
  return vault
}

const random = () => new Secret(Buffer.from(systemRandom(32)).toString('base64'))

describe('the root key file', () => {
  test('is made at the first start, for its owner only, and opens the vault again', async () => {
    const { vault, rootKeyPath, open: reopen } = await testVault()
    expect(statSync(rootKeyPath).mode & 0o777).toBe(0o600)
    expect(readFileSync(rootKeyPath, 'utf8')).toMatch(/^[0-9A-Za-z+/]{43}=\n$/)
    expect(readdirSync(dirname(rootKeyPath))).toEqual(['root.key'])
    const again = await reopen()
    expect(again.deploymentId).toBe(vault.deploymentId)
    expect(again.defaultOrganizationId).toBe(vault.defaultOrganizationId)
  })

  test('is used if an operator has put it there before the first start', async () => {
    const path = join(temporaryDirectory(), 'own.key')
    const content = random().reveal()
    writeFileSync(path, content, { mode: 0o600 })
    const on = await database()
    await open(on, { kind: 'file', path })
    expect(readFileSync(path, 'utf8')).toBe(content)
    await open(on, { kind: 'value', value: new Secret(content) })
  })

  test('that is gone refuses the start and is not made anew', async () => {
    const { rootKeyPath, open: reopen } = await testVault()
    rmSync(rootKeyPath)
    await expect(reopen()).rejects.toMatchObject({ code: 'root_key_missing' })
    expect(existsSync(rootKeyPath)).toBe(false)
  })

  test('that is another one refuses the start and changes nothing', async () => {
    const { database: on, rootKeyPath, open: reopen } = await testVault()
    const right = readFileSync(rootKeyPath)
    const before = await on.pool.query('select * from ring_key_wrap order by purpose')
    writeFileSync(rootKeyPath, `${random().reveal()}\n`)
    await expect(reopen()).rejects.toMatchObject({ code: 'root_key_wrong' })
    expect((await on.pool.query('select * from ring_key_wrap order by purpose')).rows).toEqual(before.rows)
    writeFileSync(rootKeyPath, right)
    await reopen()
  })

  test('that others can read is refused', async () => {
    for (const mode of [0o640, 0o604, 0o660, 0o666, 0o610]) {
      const { rootKeyPath, open: reopen } = await testVault()
      chmodSync(rootKeyPath, mode)
      await expect(reopen()).rejects.toMatchObject({ code: 'root_key_invalid' })
    }
  })

  for (const [what, content] of [
    ['is empty', ''],
    ['is no base64', '?'.repeat(44)],
    ['is too short', Buffer.alloc(31, 7).toString('base64')],
    ['is too long', Buffer.alloc(33, 7).toString('base64')],
    ['is all zeros', Buffer.alloc(32).toString('base64')],
    ['is spelled in another way', `${Buffer.alloc(32, 7).toString('base64').slice(0, -2)}d=`],
    ['is huge', 'A'.repeat(100_000)],
  ] as const)
    test(`that ${what} is refused, and what it holds is not said`, async () => {
      const path = join(temporaryDirectory(), 'root.key')
      writeFileSync(path, content, { mode: 0o600 })
      const lines: string[] = []
      const refused = open(await database(), { kind: 'file', path }, lines)
      await expect(refused).rejects.toMatchObject({ code: 'root_key_invalid' })
      const said = await refused.catch((error: unknown) => String(error))
      if (content !== '') expect(`${said}${lines}`).not.toContain(content)
    })

  test('that cannot be written refuses the first start and leaves the database new', async () => {
    const directory = temporaryDirectory()
    writeFileSync(join(directory, 'file'), '')
    const on = await database()
    for (const path of [join(directory, 'missing', 'root.key'), '/proc/root.key'])
      await expect(open(on, { kind: 'file', path })).rejects.toMatchObject({ code: 'directory_unreachable' })
    expect((await on.pool.query('select * from deployment')).rowCount).toBe(0)
    mkdirSync(join(directory, 'missing'))
    await open(on, { kind: 'file', path: join(directory, 'missing', 'root.key') })
  })
})

describe('the first start', () => {
  test('makes one deployment, however many start at once', async () => {
    const on = await database()
    const path = join(temporaryDirectory(), 'root.key')
    const vaults = await Promise.all(Array.from({ length: 5 }, () => open(on, { kind: 'file', path })))
    expect(new Set(vaults.map((vault) => vault.deploymentId)).size).toBe(1)
    const keys = await on.pool.query('select purpose, version, state from ring_key order by purpose')
    expect(keys.rows).toEqual(
      ['audit', 'pepper', 'secret', 'session', 'webhook'].map((purpose) => ({
        purpose,
        version: 1,
        state: 'active',
      })),
    )
    expect((await on.pool.query('select name from organization')).rows).toEqual([{ name: 'default' }])
  })

  test('does not begin anew where anything of an older one is left', async () => {
    for (const loss of [
      'delete from ring_key',
      'delete from ring_key; delete from deployment',
      'delete from deployment',
    ]) {
      const { vault, database: on, open: reopen } = await testVault()
      await addProviderKey(vault, 'openai')
      await intrude(on, loss, [])
      await expect(reopen()).rejects.toMatchObject({ code: 'keyring_damaged' })
    }
  })

  test('is not confused by a keyring of which a part is lost or edited', async () => {
    for (const loss of [
      "delete from ring_key_wrap where purpose = 'audit'",
      "update ring_key_wrap set envelope = (select envelope from ring_key_wrap where purpose = 'audit') where purpose = 'secret'",
      "update ring_key_wrap set envelope = set_byte(envelope, 120, get_byte(envelope, 120) # 1) where purpose = 'pepper'",
      "update deployment set id = '01890a5d-ac96-774b-bcce-b302099a8057'",
    ]) {
      const { database: on, open: reopen } = await testVault()
      expect(await intrude(on, loss, [])).toBe(1)
      await expect(reopen()).rejects.toMatchObject({ code: 'keyring_damaged' })
    }
  })
})

describe('a root key from elsewhere', () => {
  test('opens from the environment, with a warning', async () => {
    const on = await database()
    const lines: string[] = []
    const value = random()
    await open(on, { kind: 'value', value }, lines)
    await open(on, { kind: 'value', value })
    expect(lines.join()).toContain('root_key.in_environment')
    expect(lines.join()).not.toContain(value.reveal())
    await expect(open(on, { kind: 'value', value: random() })).rejects.toMatchObject({
      code: 'root_key_wrong',
    })
  })

  test('opens from a passphrase, however its accents are composed', async () => {
    const on = await database()
    await open(on, { kind: 'passphrase', passphrase: new Secret('café with a view') })
    await open(on, { kind: 'passphrase', passphrase: new Secret('cafe\u0301 with a view') })
    const wrong: RootKeySource = { kind: 'passphrase', passphrase: new Secret('cafe with a view') }
    await expect(open(on, wrong)).rejects.toMatchObject({ code: 'root_key_wrong' })
  })

  test('refuses a passphrase that is short', async () => {
    const short: RootKeySource = { kind: 'passphrase', passphrase: new Secret('short') }
    await expect(open(await database(), short)).rejects.toMatchObject({ code: 'root_key_invalid' })
  })
})
