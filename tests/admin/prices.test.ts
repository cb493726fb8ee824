import { describe, expect, test } from 'vitest'
import { intrude } from '../vault/fixture.ts'
import { type AdminServer, startAdminServer } from './admin-server.ts'

const entry = (input: number, output = 4 * input) => ({
  source: 'our contract',
  contextWindow: 1000,
  prices: [{ standard: { input, output } }],
})

/** What `provider` charges for a token that goes in, and where that stands. */
async function shown(server: AdminServer, model: string, provider = 'openai'): Promise<unknown> {
  const { body } = await server.ask(
    'GET',
    `/api/prices?provider=${provider}&model=${encodeURIComponent(model)}`,
  )
  return body
}

describe('GET /api/prices', () => {
  test('tells what a model costs now, by any of its names, and where that price stands', async () => {
    const server = await startAdminServer()
    expect(await shown(server, 'gpt-4o-2024-08-06')).toEqual({
      data: [
        expect.objectContaining({
          provider: 'openai',
          model: 'gpt-4o-2024-08-06',
          listedAs: { provider: 'openai', model: 'gpt-4o' },
          kind: 'priced',
          origin: 'built-in',
          figures: expect.objectContaining({ 'standard.input': 2_500_000 }),
        }),
      ],
      nextCursor: null,
    })
    expect(await shown(server, 'gpt-5-nano', 'simulator')).toMatchObject({
      data: [{ provider: 'simulator', listedAs: { provider: 'openai' } }],
    })
    expect(await shown(server, 'gpt-99')).toEqual({ data: [], nextCursor: null })
  })

  test('gives every price once over its pages, by provider and model', async () => {
    const server = await startAdminServer()
    const seen: string[] = []
    let cursor = ''
    for (let pages = 0; pages < 100; pages++) {
      const { body } = await server.ask('GET', `/api/prices?limit=37${cursor}`)
      const page = pageOf(body)
      seen.push(...page.data.map(({ provider, model }) => `${provider} ${model}`))
      if (page.nextCursor === null) break
      cursor = `&cursor=${page.nextCursor}`
    }
    expect(seen).toHaveLength([...server.prices.current].length)
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen).toEqual([...seen].sort())
  })
})

describe('PUT /api/prices', () => {
  test('a dry run tells what would change, and changes nothing', async () => {
    const server = await startAdminServer()
    const before = server.prices.current
    const models = { openai: { 'gpt-4o': entry(1_000_000) }, acme: { 'llama-9': entry(5) } }
    const dry = await server.ask('PUT', '/api/prices', { body: { models, dryRun: true } })
    expect(dry).toMatchObject({ status: 200, body: { dryRun: true } })
    const wet = await server.ask('PUT', '/api/prices', { body: { models } })
    expect(changesOf(dry.body)).toEqual(changesOf(wet.body))
    expect(changesOf(dry.body)).toContainEqual({ kind: 'added', provider: 'acme', model: 'llama-9' })
    expect(changesOf(dry.body)).toContainEqual(
      expect.objectContaining({
        kind: 'changed',
        model: 'gpt-4o',
        fields: expect.arrayContaining([{ field: 'standard.input', before: 2_500_000, after: 1_000_000 }]),
      }),
    )
    expect(before.find('acme', 'llama-9', Date.now()).kind).toBe('unpriced')
    expect(await server.ask('PUT', '/api/prices', { body: { models, dryRun: true } })).toMatchObject({
      body: { changes: [] },
    })
  })

  test('a dry run leaves the table as it was', async () => {
    const server = await startAdminServer()
    const body = { models: { openai: { 'gpt-4o': entry(1) } }, dryRun: true }
    await server.ask('PUT', '/api/prices', { body })
    expect(await server.database.kysely.selectFrom('price_override').selectAll().execute()).toEqual([])
    expect(await shown(server, 'gpt-4o')).toMatchObject({ data: [{ origin: 'built-in' }] })
  })

  test('a price is in force when it is answered, under its model’s other names too, and wins', async () => {
    const server = await startAdminServer()
    await server.ask('PUT', '/api/prices', { body: { models: { openai: { 'gpt-4o': entry(7) } } } })
    for (const model of ['gpt-4o', 'gpt-4o-2024-08-06']) {
      expect(await shown(server, model)).toMatchObject({
        data: [
          {
            origin: 'api',
            source: 'our contract',
            version: expect.stringMatching(/^api-\d{4}-.*Z$/),
            figures: { 'standard.input': 7, 'standard.output': 28 },
          },
        ],
      })
    }
    expect(await shown(server, 'gpt-4o-mini')).toMatchObject({ data: [{ origin: 'built-in' }] })
  })

  test('what was held at a price is settled at it, whatever is set in the meantime', async () => {
    const server = await startAdminServer()
    const held = server.prices.current.find('openai', 'gpt-4o', Date.now())
    await server.ask('PUT', '/api/prices', { body: { models: { openai: { 'gpt-4o': entry(7) } } } })
    expect(held).toMatchObject({ price: { tiers: { standard: { short: { input: 2_500_000n } } } } })
    expect(server.prices.current.find('openai', 'gpt-4o', Date.now())).toMatchObject({
      price: { tiers: { standard: { short: { input: 7n } } } },
    })
  })

  test('a fallback prices what is listed nowhere, and nothing else', async () => {
    const server = await startAdminServer()
    const set = await server.ask('PUT', '/api/prices', { body: { fallback: entry(9) } })
    expect(changesOf(set.body)).toEqual([{ kind: 'added', provider: '*', model: '*' }])
    expect(await shown(server, 'gpt-99')).toMatchObject({
      data: [{ kind: 'fallback', origin: 'api', listedAs: { provider: '*', model: '*' } }],
    })
    expect(await shown(server, 'gpt-4o')).toMatchObject({ data: [{ kind: 'priced', origin: 'built-in' }] })
    expect(await server.ask('DELETE', '/api/prices/*/*')).toMatchObject({ status: 200 })
    expect(await shown(server, 'gpt-99')).toMatchObject({ data: [] })
  })

  test.each<[string, unknown, string | null]>([
    ['nothing', {}, null],
    ['no model', { models: { openai: {} } }, null],
    [
      'a negative price',
      { models: { openai: { m: entry(-1) } } },
      'models.openai.m.prices[0].standard.input',
    ],
    ['a fraction', { fallback: entry(0.5) }, 'fallback.prices[0].standard.input'],
    ['a misspelt field', { models: { openai: { m: { ...entry(1), contextwindow: 1 } } } }, 'contextwindow'],
    ['a provider that is none', { models: { 'Open AI': { m: entry(1) } } }, 'models.Open AI'],
    ['a model with a NUL', { models: { openai: { 'm\u0000': entry(1) } } }, 'models.openai.m\u0000'],
    [
      'half a surrogate pair',
      { models: { openai: { m: { ...entry(1), note: '\ud800' } } } },
      'models.openai.m.note',
    ],
    ['text for a flag', { fallback: entry(1), dryRun: 'yes' }, 'dryRun'],
  ])('%s is refused with the name of the field, and sets nothing', async (_, body, param) => {
    const server = await startAdminServer()
    const refused = await server.ask('PUT', '/api/prices', { body })
    expect(refused).toMatchObject({ status: 400, body: { error: { code: 'invalid_request', param } } })
    expect(await server.database.kysely.selectFrom('price_override').selectAll().execute()).toEqual([])
  })

  test('two at once leave both of their prices, and each tells its own change', async () => {
    const server = await startAdminServer()
    const names = Array.from({ length: 8 }, (_, index) => `m${index}`)
    const answers = await Promise.all(
      names.map((name) =>
        server.ask('PUT', '/api/prices', { body: { models: { acme: { [name]: entry(1) } } } }),
      ),
    )
    for (const [index, { body }] of answers.entries()) {
      expect(changesOf(body)).toEqual([{ kind: 'added', provider: 'acme', model: names[index] }])
    }
    const { body } = await server.ask('GET', '/api/prices?provider=acme')
    expect(pageOf(body).data.map(({ model }) => model)).toEqual(names)
  })
})

describe('DELETE /api/prices/:provider/:model', () => {
  test('the price before holds again', async () => {
    const server = await startAdminServer()
    await server.ask('PUT', '/api/prices', { body: { models: { openai: { 'gpt-4o': entry(7) } } } })
    const removed = await server.ask('DELETE', '/api/prices/openai/gpt-4o')
    expect(changesOf(removed.body)).toMatchObject([
      {
        kind: 'changed',
        model: 'gpt-4o',
        fields: expect.arrayContaining([{ field: 'standard.input', before: 7, after: 2_500_000 }]),
      },
    ])
    expect(await shown(server, 'gpt-4o')).toMatchObject({ data: [{ origin: 'built-in' }] })
  })

  test('a name with a slash is spelled %2F', async () => {
    const server = await startAdminServer()
    await server.ask('PUT', '/api/prices', { body: { models: { acme: { 'meta/llama': entry(7) } } } })
    expect(await server.ask('DELETE', '/api/prices/acme/meta%2Fllama')).toMatchObject({
      status: 200,
      body: { changes: [{ kind: 'removed', provider: 'acme', model: 'meta/llama' }] },
    })
  })

  test('what was not set can’t be removed: built-in prices stay', async () => {
    const server = await startAdminServer()
    expect(await server.ask('DELETE', '/api/prices/openai/gpt-4o')).toMatchObject({
      status: 404,
      body: { error: { code: 'not_found' } },
    })
  })
})

test('a stored price that can’t be read prices nothing, is logged, and can be set again', async () => {
  const server = await startAdminServer()
  await server.ask('PUT', '/api/prices', { body: { models: { openai: { 'gpt-4o': entry(7) } } } })
  const broken = `update price_override set entry = '{"prices": "cheap"}', revision = revision + 1`
  expect(await intrude(server.database, broken, [])).toBe(1)
  await server.prices.refresh()
  expect(server.prices.current.find('openai', 'gpt-4o', Date.now()).kind).toBe('unpriced')
  expect(server.log.events).toContainEqual({
    event: 'prices.override_unreadable',
    fields: { provider: 'openai', model: 'gpt-4o' },
  })
  await server.ask('PUT', '/api/prices', { body: { models: { openai: { 'gpt-4o': entry(8) } } } })
  expect(await shown(server, 'gpt-4o')).toMatchObject({ data: [{ figures: { 'standard.input': 8 } }] })
})

interface ListedPage {
  readonly data: readonly { readonly provider: string; readonly model: string }[]
  readonly nextCursor: string | null
}

function pageOf(body: unknown): ListedPage {
  return body as ListedPage
}

function changesOf(body: unknown): unknown {
  return typeof body === 'object' && body !== null && 'changes' in body ? body.changes : undefined
}
