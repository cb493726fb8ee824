import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keysAsCsv } from '../../gateway/src/cli/key-file.ts'
import { readPeople } from '../../gateway/src/cli/people-csv.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { type GatewayProcess, latchkey, startGatewayProcess } from './latchkey-process.ts'

const now = Date.parse('2026-03-01T12:00:00Z')

function fileOf(text: string): string {
  const file = join(temporaryDirectory(), 'people.csv')
  writeFileSync(file, text)
  return file
}

describe('a file of people', () => {
  test('has its columns in any order, and leaves out what it does not say', () => {
    const text = [
      'Expiry,models,name,email,budget',
      '2026-12-06T18:00:00Z,"gpt-5-nano, gpt-4o*","Lovelace, Ada",ada@example.org,4.00',
      '',
      '30d,gpt-5-nano;gpt-4o,Grace Hopper,,2/day 20/month',
      ',,Müller,,',
    ].join('\r\n')
    expect(readPeople(fileOf(text), now)).toEqual([
      {
        name: 'Lovelace, Ada',
        email: 'ada@example.org',
        budgets: [{ limitUsd: '4', period: 'total' }],
        models: ['gpt-5-nano', 'gpt-4o*'],
        expiresAt: '2026-12-06T18:00:00.000Z',
      },
      {
        name: 'Grace Hopper',
        budgets: [
          { limitUsd: '2', period: 'day' },
          { limitUsd: '20', period: 'month' },
        ],
        models: ['gpt-5-nano', 'gpt-4o'],
        expiresAt: '2026-03-31T12:00:00.000Z',
      },
      { name: 'Müller' },
    ])
  })

  test.each([
    ['semicolons', 'name;budget;models\nada;4;a,b\n'],
    ['tabs', 'name\tbudget\tmodels\nada\t4\ta b\n'],
    ['a byte order mark', '\ufeffname,budget,models\nada,4,a b\n'],
    ['old line ends', 'name,budget,models\rada,4,a b\r'],
  ])('may have %s', (_what, text) => {
    expect(readPeople(fileOf(text), now)).toEqual([
      { name: 'ada', budgets: [{ limitUsd: '4', period: 'total' }], models: ['a', 'b'] },
    ])
  })

  test.each<readonly [what: string, text: string, said: string]>([
    ['nothing', '', 'It is empty'],
    ['no rows', 'name,email\n', 'no rows'],
    ['no column of names', 'email\na@example.org\n', 'line 1 has no column "name"'],
    ['an unknown column', 'name,e-mail\nada,a@example.org\n', 'line 1 has a column "e-mail"'],
    ['a column twice', 'name,Name\nada,ada\n', 'line 1 has a column twice'],
    ['a row too short', 'name,email\nada\n', 'line 2 has 1 columns, and the header has 2'],
    ['a row too long', 'name\nada,4\n', 'line 2 has 2 columns, and the header has 1'],
    ['a quote that is not closed', 'name\n"ada\n', 'line 2 is not CSV'],
    ['a row without a name', 'name,email\nada,\n,b@example.org\n', 'line 3, column name: must not be empty'],
    ['a name that forges rows', 'name\n\n"a\u202eb"\n', 'line 3, column name: must not hold control'],
    ['a bad address', 'email,name\nnobody,ada\n', 'line 2, column email: must be an e-mail address'],
    ['a bad budget', 'name,budget\nada,4 euros\n', 'line 2, column budget: must be dollars'],
    ['a budget twice', 'name,budget\nada,4 5/total\n', 'line 2, column budget: must not name a period twice'],
    ['a bad model', 'name,models\nada,g*t\n', 'line 2, column models: must be a model name'],
    ['a bad time', 'name,expiry\nada,Sunday\n', 'line 2, column expiry: must be a time like'],
    ['too many rows', `name\n${'ada\n'.repeat(2001)}`, '2000 at once are the most'],
  ])('with %s is refused, and the place named', (_what, text, said) => {
    expect(() => readPeople(fileOf(text), now)).toThrow(said)
  })

  test('with many bad rows names the first ten of them', () => {
    const file = fileOf(`name,budget\n${'ada,x\n'.repeat(12)}`)
    expect(() => readPeople(file, now)).toThrow(/line 2, .*line 11, .*and 2 more/s)
  })

  test('with more than one bad row makes no key of the good ones', () => {
    expect(() => readPeople(fileOf('name,email\nada,\nbob,nobody\n'), now)).toThrow('no key was made')
  })
})

test('a name that a spreadsheet would take for a formula does not reach it as one', () => {
  for (const name of ['=HYPERLINK("http://evil","x")', '+1', '-1', '@SUM(A1)']) {
    const minted = { name, email: null, id: 'id', key: 'lk_x' } as unknown as Parameters<
      typeof keysAsCsv
    >[0][number]
    expect(parse(keysAsCsv([minted]), { columns: true })).toEqual([
      { name: `'${name}`, email: '', id: 'id', key: 'lk_x' },
    ])
  }
})

describe('keys bulk', () => {
  let gateway: GatewayProcess
  beforeAll(async () => {
    gateway = await startGatewayProcess()
    await latchkey(['provider-keys', 'add', 'try', '--provider', 'simulator'], gateway.settings)
    await latchkey(['groups', 'create', 'hack-2026'], gateway.settings)
  })
  afterAll(() => gateway.discard())

  function bulk(csv: string, out: string, more: readonly string[] = []) {
    return latchkey(['keys', 'bulk', '--csv', csv, '--out', out, ...more], gateway.settings)
  }

  async function keys() {
    return JSON.parse((await latchkey(['keys', 'list', '--json'], gateway.settings)).stdout)
  }

  test('makes a key for each row, in a file that nobody else can read', async () => {
    // More than one statement inserts.
    const people = Array.from({ length: 120 }, (_each, index) => `person ${index},p${index}@example.org`)
    const out = join(temporaryDirectory(), 'keys.csv')
    const ended = await bulk(fileOf(['name,email', ...people].join('\n')), out, [
      ...['--group', 'hack-2026', '--budget', '4', '--models', 'gpt-5-nano', '--expires', '2d'],
    ])
    expect(ended, ended.stderr).toMatchObject({ status: 0, stdout: expect.stringContaining('Made 120 keys') })
    expect(ended.stderr).toContain('Making 120 keys')
    expect(statSync(out).mode & 0o777).toBe(0o600)
    const rows: Record<string, string>[] = parse(readFileSync(out, 'utf8'), { columns: true })
    expect(rows.map((row) => `${row.name},${row.email}`)).toEqual(people)
    const listed = await keys()
    expect(listed).toHaveLength(120)
    for (const key of listed)
      expect(key).toMatchObject({
        group: { name: 'hack-2026' },
        models: ['gpt-5-nano'],
        budgets: [{ limitUsd: '4', period: 'total' }],
      })
    const last = rows.at(-1)
    expect(listed.find((key: { id: string }) => key.id === last?.id)).toMatchObject({ name: 'person 119' })
    const headers = { authorization: `Bearer ${last?.key}` }
    expect((await fetch(`${gateway.dataUrl}/v1/models`, { headers })).status).toBe(200)
  }, 120_000)

  test('overwrites no file, and makes no key then', async () => {
    const before = (await keys()).length
    const out = fileOf('precious')
    const ended = await bulk(fileOf('name\nada\n'), out)
    expect(ended).toMatchObject({ status: 1, stdout: '' })
    expect(ended.stderr).toContain('is not overwritten')
    expect(readFileSync(out, 'utf8')).toBe('precious')
    expect(await keys()).toHaveLength(before)
  })

  test('leaves no file behind where the gateway refuses', async () => {
    const out = join(temporaryDirectory(), 'keys.csv')
    const ended = await bulk(fileOf('name\nada\n'), out, ['--provider-key', 'absent'])
    expect(ended).toMatchObject({ status: 1, stdout: '' })
    expect(existsSync(out)).toBe(false)
    const nowhere = await bulk(fileOf('name\nada\n'), out, ['--group', 'absent'])
    expect(nowhere).toMatchObject({ status: 1, stdout: '' })
    expect(existsSync(out)).toBe(false)
  })

  test('says how many it made as JSON, and shows no key', async () => {
    const out = join(temporaryDirectory(), 'keys.csv')
    const ended = await bulk(fileOf('name\nada\nbob\n'), out, ['--json'])
    expect(JSON.parse(ended.stdout)).toEqual({ file: out, keys: 2, group: null })
    expect(ended.stdout + ended.stderr).not.toContain('lk_')
  })
})
