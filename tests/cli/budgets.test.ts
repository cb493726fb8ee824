import { type BudgetWire, budgetPageWire, releasedBudgetWire } from '@latchkey/shared'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type GatewayProcess, latchkey, startGatewayProcess } from './latchkey-process.ts'

const soon = { timeout: 10_000 }
let gateway: GatewayProcess
let key: string

beforeAll(async () => {
  gateway = await startGatewayProcess()
  await json(['provider-keys', 'add', 'try', '--provider', 'simulator'])
  await json(['groups', 'create', 'research', '--budget', '500/month'])
  const made = ['keys', 'create', 'alice', '--provider-key', 'try', '--group', 'research']
  key = (await json([...made, '--budget', '4', '--budget', '2.50/day'])).key
}, 60_000)
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

async function chat(): Promise<number> {
  const response = await fetch(`${gateway.dataUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'gpt-5-nano',
      max_completion_tokens: 50,
      messages: [{ role: 'user', content: 'Hello' }],
    }),
  })
  await response.arrayBuffer()
  return response.status
}

async function budgetOf(scope: string, period: string): Promise<BudgetWire> {
  const listed = budgetPageWire.shape.data.parse(await json(['budgets', 'list', '--scope', scope]))
  const found = listed.find((budget) => budget.period === period)
  if (found === undefined) throw new Error(`there is no ${period} budget of a ${scope}`)
  return found
}

describe('budgets', () => {
  test('every scope has the budgets that it was given, in one table', async () => {
    await json(['organization', 'set', '--budget', '900/month', '--budget', '90/week'])
    await json(['provider-keys', 'set', 'try', '--budget', '100/day'])
    const listed = await run(['budgets', 'list'])
    const lines = listed.stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.trim().split(/ {2,}/))
    expect(lines.map((cells) => cells.slice(1, 5))).toEqual([
      ['scope', 'name', 'window', 'limit'],
      ['organization', 'default', 'week', '$90.00'],
      ['organization', 'default', 'month', '$900.00'],
      ['group', 'research', 'month', '$500.00'],
      ['key', 'alice', 'day', '$2.50'],
      ['key', 'alice', 'total', '$4.00'],
      ['provider key', 'try', 'day', '$100.00'],
    ])
    const shown = await run(['organization', 'show'])
    expect(shown.stdout).toContain('$900.00 left of $900.00 a month')
    const providerKeys = await run(['provider-keys', 'list'])
    expect(providerKeys.stdout).toContain('$100.00 left of $100.00 a day')
  })

  test('a budget is shown, raised and lowered, and lowering is said', async () => {
    const { id } = await budgetOf('key', 'total')
    expect((await run(['budgets', 'show', id])).stdout).toMatch(/^limit +\$4\.00$/m)
    expect(await json(['budgets', 'raise', id, '--to', '6'])).toMatchObject({ id, limitUsd: '6' })
    const more = await run(['budgets', 'raise', id, '--by', '0.5'])
    expect(more).toMatchObject({ status: 0, stderr: '' })
    expect(more.stdout).toContain('The limit of the total budget of key alice is $6.50')
    const less = await run(['budgets', 'raise', id, '--by', '-2.5'])
    expect(less.stderr).toContain('lowers the limit from $6.50')
    expect(less.stdout).toContain('is $4.00')
  })

  test('a paused budget refuses, and a resumed one pays', async () => {
    const { id } = await budgetOf('group', 'month')
    expect(await chat()).toBe(200)
    await run(['budgets', 'pause', id])
    await expect.poll(chat, soon).toBe(429)
    expect((await run(['budgets', 'list', '--scope', 'group'])).stdout).toMatch(/paused$/m)
    await run(['budgets', 'resume', id])
    await expect.poll(chat, soon).toBe(200)
  })

  test('thresholds are changed', async () => {
    const { id } = await budgetOf('key', 'total')
    expect(await json(['budgets', 'set', id, '--thresholds', '90, 25%'])).toMatchObject({
      thresholds: [25, 90],
    })
  })

  test('with nothing unsettled, nothing is released, and that is said', async () => {
    const { id } = await budgetOf('key', 'total')
    const released = releasedBudgetWire.parse(await json(['budgets', 'release', id]))
    expect(released).toMatchObject({ leases: 0, releasedUsd: '0', releasableAt: null })
    expect((await run(['budgets', 'release', id])).stdout).toContain('nothing to release')
  })

  test('limits of a provider key are set one by one, and taken away', async () => {
    const set = ['provider-keys', 'set', 'try']
    const rpm = { unit: 'requests', per: 'minute', limit: 500 }
    const slots = { unit: 'concurrency', limit: 40 }
    expect(await json([...set, '--rpm', '500'])).toMatchObject({ limits: [rpm] })
    expect(await json([...set, '--concurrency', '40'])).toMatchObject({ limits: [rpm, slots] })
    expect((await run(['provider-keys', 'list'])).stdout).toContain(
      '500 requests a minute, 40 at the same time',
    )
    expect((await run([...set, '--no-rpm'])).stdout).toContain('; 40 at the same time')
    expect(await json([...set, '--no-concurrency'])).toMatchObject({ limits: [] })
  })

  test('a budget is removed only with --yes', async () => {
    const { id } = await budgetOf('provider-key', 'day')
    const asked = await run(['budgets', 'remove', id])
    expect(asked).toMatchObject({ status: 2, stdout: '' })
    expect(asked.stderr).toContain('the day budget of provider key try')
    expect(await json(['budgets', 'remove', id, '--yes'])).toEqual({ id })
    expect(await json(['budgets', 'list', '--scope', 'provider-key'])).toEqual([])
    expect((await run(['budgets', 'show', id])).status).toBe(1)
  })

  test.each([
    [['budgets', 'show', 'alice']],
    [['budgets', 'raise', '00000000-0000-7000-8000-000000000000']],
    [['budgets', 'raise', '00000000-0000-7000-8000-000000000000', '--to', '1', '--by', '1']],
    [['budgets', 'raise', '00000000-0000-7000-8000-000000000000', '--to', '-1']],
    [['budgets', 'raise', '00000000-0000-7000-8000-000000000000', '--by', 'much']],
    [['budgets', 'set', '00000000-0000-7000-8000-000000000000', '--thresholds', '0']],
    [['budgets', 'list', '--scope', 'team']],
    [['organization', 'set']],
    [['organization', 'set', '--budget', '5/year']],
    [['provider-keys', 'set', 'try']],
    [['usage']],
    [['usage', '--by', 'hour']],
    [['usage', '--by', 'key', '--from', 'yesterday']],
  ])('a command line that can not be meant ends with 2: %j', async (args) => {
    expect(await run(args)).toMatchObject({ status: 2, stdout: '' })
  })
})

describe('requests show', () => {
  test('shows a request, and its bodies where they were kept and are asked for', {
    timeout: 120_000,
  }, async () => {
    await json(['keys', 'set', 'alice', '--capture'])
    expect((await run(['keys', 'show', 'alice'])).stdout).toMatch(/^bodies +kept, sealed$/m)
    await expect.poll(chat, soon).toBe(200)
    const latest = async () => (await json(['requests', 'tail', '-n', '1']))[0]?.id ?? ''
    const show = async () => json(['requests', 'show', await latest(), '--bodies'])
    await expect.poll(async () => (await show()).bodies.request?.text, soon).toContain('Hello')
    const id = await latest()
    expect(await json(['requests', 'show', id])).toMatchObject({ id, bodies: ['request', 'response'] })
    const shown = await run(['requests', 'show', id])
    expect(shown.stdout).toMatch(/^bodies kept +request, response$/m)
    expect(shown.stdout).not.toContain('Hello')
    const whole = await run(['requests', 'show', id, '--bodies'])
    expect(whole.stdout).toMatch(/^request: application\/json, [0-9]+ bytes$/m)
    expect(whole.stdout).toContain('"content":"Hello"')
    expect(await json(['keys', 'set', 'alice', '--no-capture'])).toMatchObject({ capture: false })
    expect(await json(['groups', 'set', 'research', '--capture'])).toMatchObject({ capture: true })
    expect((await run(['groups', 'show', 'research'])).stdout).toMatch(/^bodies +kept, sealed$/m)
    expect(await json(['groups', 'set', 'research', '--no-capture'])).toMatchObject({ capture: false })
    expect(await run(['requests', 'show', 'nobody'])).toMatchObject({ status: 1, stdout: '' })
  })
})

describe('usage', () => {
  test('what was used is summed by key, group, model and day', async () => {
    expect(await chat()).toBe(200)
    const total = async () => (await json(['usage', '--by', 'day', '--key', 'alice'])).total
    await expect.poll(async () => (await total()).outputTokens, soon).toBeGreaterThan(0)
    const { requests, costUsd } = await total()
    expect(Number(costUsd)).toBeGreaterThan(0)
    expect(await json(['usage', '--by', 'group', '--from', '1h'])).toMatchObject({
      data: [{ name: 'research', requests, costUsd }],
    })
    expect(await json(['usage', '--by', 'key', '--group', 'research'])).toMatchObject({
      data: [{ name: 'alice' }],
    })
    expect(await json(['usage', '--by', 'model', '--to', '1d'])).toMatchObject({
      data: [],
      total: { requests: 0 },
    })
    const table = await run(['usage', '--by', 'model'])
    expect(table.stdout).toMatch(/^model +requests +refused/)
    expect(table.stdout).toMatch(/^gpt-5-nano .* \$0\.0000\d+ /m)
    expect(table.stdout).toMatch(/^total /m)
  })
})
