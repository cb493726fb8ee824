import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type GatewayProcess, latchkey, startGatewayProcess } from './latchkey-process.ts'

let gateway: GatewayProcess

beforeAll(async () => {
  gateway = await startGatewayProcess()
  await run(['provider-keys', 'add', 'only', '--provider', 'simulator'])
})
afterAll(() => gateway.discard())

function run(args: readonly string[]) {
  return latchkey(args, gateway.settings)
}

/** Runs with `--json` and gives the one document that must be all of standard output. */
async function json(args: readonly string[]) {
  const ended = await run([...args, '--json'])
  expect(ended, ended.stderr).toMatchObject({ status: 0 })
  return JSON.parse(ended.stdout)
}

describe('groups', () => {
  test('a group is made, listed, shown, changed, paused and resumed', async () => {
    const created = await json([
      ...['groups', 'create', 'hack 2026', '--budget', '1200', '--budget', '100/day'],
      ...['--rpm', '600', '--tpd', '1000000', '--description', 'the hackathon'],
    ])
    expect(created).toMatchObject({
      name: 'hack 2026',
      description: 'the hackathon',
      status: 'active',
      limits: [
        { unit: 'requests', per: 'minute', limit: 600 },
        { unit: 'tokens', per: 'day', limit: 1_000_000 },
      ],
      budgets: [
        { period: 'day', limitUsd: '100' },
        { period: 'total', limitUsd: '1200' },
      ],
    })
    expect(await json(['groups', 'show', 'hack 2026'])).toEqual(created)
    expect(await json(['groups', 'show', created.id])).toEqual(created)

    const set = ['groups', 'set', 'hack 2026', '--budget', '1500', '--no-rpm', '--concurrency', '50']
    expect(await json([...set, '--name', 'hack-2026'])).toMatchObject({
      name: 'hack-2026',
      description: 'the hackathon',
      limits: [
        { unit: 'tokens', per: 'day', limit: 1_000_000 },
        { unit: 'concurrency', limit: 50 },
      ],
      budgets: [
        { period: 'day', limitUsd: '100' },
        { period: 'total', limitUsd: '1500' },
      ],
    })
    expect(await json(['groups', 'pause', 'hack-2026'])).toMatchObject({ status: 'paused' })
    const listed = await run(['groups', 'list'])
    expect(listed.stdout).toMatch(/^name +status +keys +budget +limits +created/)
    expect(listed.stdout).toContain('$100.00 left of $100.00 a day, $1500.00 left of $1500.00')
    expect(listed.stdout).toContain('1000000 tokens a day, 50 at the same time')
    expect(await json(['groups', 'resume', 'hack-2026'])).toMatchObject({ status: 'active' })
  })

  test('a name that is taken, absent or strange is said, and ends with 1', async () => {
    await json(['groups', 'create', '..'])
    expect(await json(['groups', 'show', '..'])).toMatchObject({ name: '..' })
    for (const [args, said] of [
      [['groups', 'create', '..'], 'A group has this name already.'],
      [['groups', 'show', 'absent'], 'No group has this name or id.'],
      [['groups', 'pause', '01890000-0000-7000-8000-000000000001'], 'No group has this name or id.'],
      [['keys', 'create', 'x', '--group', 'absent'], 'There is no group of this name or id.'],
    ] as const) {
      const ended = await run(args)
      expect(ended).toMatchObject({ status: 1, stdout: '' })
      expect(ended.stderr).toContain(said)
    }
  })

  test('a change that names nothing is a wrong command line', async () => {
    await json(['groups', 'create', 'still'])
    expect(await run(['groups', 'set', 'still'])).toMatchObject({ status: 2, stdout: '' })
  })
})

describe('keys', () => {
  test('the only provider key need not be named, two must be told apart', async () => {
    expect(await json(['keys', 'create', 'plain'])).toMatchObject({ providerKeys: ['only'] })
    await json(['provider-keys', 'add', 'second', '--provider', 'simulator'])
    const ended = await run(['keys', 'create', 'plain'])
    expect(ended).toMatchObject({ status: 2, stdout: '' })
    expect(ended.stderr).toContain('--provider-key: only, second')
    await json(['provider-keys', 'remove', 'second'])
  })

  test('group, address, budgets, limits and fit are set, changed and taken away', async () => {
    await json(['groups', 'create', 'team'])
    const created = await json([
      ...['keys', 'create', 'bob', '--group', 'team', '--email', 'bob@example.org', '--budget', '4'],
      ...['--rpm', '60', '--rph', '100', '--rpd', '1000', '--tpm', '1', '--tph', '2', '--tpd', '3'],
      ...['--concurrency', '4', '--fit', 'clamp', '--models', 'gpt-5-nano', '--expires', '1d'],
    ])
    expect(created).toMatchObject({
      group: { name: 'team' },
      email: 'bob@example.org',
      budgets: [{ limitUsd: '4', period: 'total' }],
      limits: [
        { unit: 'requests', per: 'minute', limit: 60 },
        { unit: 'requests', per: 'hour', limit: 100 },
        { unit: 'requests', per: 'day', limit: 1000 },
        { unit: 'tokens', per: 'minute', limit: 1 },
        { unit: 'tokens', per: 'hour', limit: 2 },
        { unit: 'tokens', per: 'day', limit: 3 },
        { unit: 'concurrency', limit: 4 },
      ],
      fit: 'clamp',
    })
    const set = ['keys', 'set', 'bob', '--budget', '6', '--budget', '0.5/day', '--rpm', '90', '--no-tpm']
    const without = ['--no-rph', '--no-rpd', '--no-tph', '--no-tpd', '--no-group', '--no-email']
    expect(await json([...set, ...without, '--no-models', '--no-expires', '--fit', 'refuse'])).toMatchObject({
      group: null,
      email: null,
      models: null,
      expiresAt: null,
      fit: 'refuse',
      budgets: [
        { limitUsd: '0.5', period: 'day' },
        { limitUsd: '6', period: 'total' },
      ],
      limits: [
        { unit: 'requests', per: 'minute', limit: 90 },
        { unit: 'concurrency', limit: 4 },
      ],
    })
    expect(await json(['keys', 'set', 'bob', '--name', 'robert', '--group', 'team'])).toMatchObject({
      name: 'robert',
      group: { name: 'team' },
      budgets: [{ limitUsd: '0.5' }, { limitUsd: '6' }],
    })
    const shown = await run(['keys', 'show', 'robert'])
    expect(shown.stdout).toContain('$6.00 left of $6.00')
    expect(shown.stdout).toContain('90 requests a minute, 4 at the same time')
    expect(await run(['keys', 'set', 'robert'])).toMatchObject({ status: 2, stdout: '' })
  })

  test('revoke-all ends the keys of a group, then all, and neither without --yes', async () => {
    await json(['groups', 'create', 'leaky'])
    const inside = await json(['keys', 'create', 'inside', '--group', 'leaky'])
    const outside = await json(['keys', 'create', 'outside'])
    const refused = await run(['groups', 'revoke-all', 'leaky'])
    expect(refused).toMatchObject({ status: 2, stdout: '' })
    expect(refused.stderr).toContain('every key of leaky (1 key)')
    expect(await json(['keys', 'list', '--group', 'leaky'])).toMatchObject([{ status: 'active' }])
    expect(await json(['groups', 'revoke-all', 'leaky', '--yes'])).toEqual({ revoked: 1 })
    expect(await json(['keys', 'show', inside.id])).toMatchObject({ status: 'revoked' })
    expect(await json(['keys', 'show', outside.id])).toMatchObject({ status: 'active' })
    expect(await run(['keys', 'revoke-all'])).toMatchObject({ status: 2, stdout: '' })
    await json(['keys', 'revoke-all', '--group', 'leaky', '--yes'])
    expect((await json(['keys', 'revoke-all', '--yes'])).revoked).toBeGreaterThan(0)
    expect(await json(['keys', 'show', outside.id])).toMatchObject({ status: 'revoked' })
  })
})
