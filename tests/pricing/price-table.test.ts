import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LatchkeyError } from '@latchkey/shared'
import { describe, expect, test } from 'vitest'
import { builtInPrices, loadPrices } from '../../gateway/src/pricing/load-prices.ts'
import { diffPrices } from '../../gateway/src/pricing/price-diff.ts'
import { parsePriceFile } from '../../gateway/src/pricing/price-file.ts'
import { PriceTable } from '../../gateway/src/pricing/price-table.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { priceOf, prices, today } from './priced.ts'

/** A file with one model of `openai`, whose prices are `periods`. */
function file(periods: unknown, rest: object = {}) {
  return {
    version: 'test',
    models: { openai: { m: { source: 'here', contextWindow: 1000, maxOutputTokens: 100, prices: periods } } },
    ...rest,
  }
}

const plain = [{ standard: { input: 1_000_000, output: 2_000_000 } }]

function fault(build: () => unknown): LatchkeyError {
  try {
    build()
  } catch (error) {
    if (error instanceof LatchkeyError) return error
    throw error
  }
  throw new Error('it was accepted')
}

describe('the built-in prices', () => {
  const names = [...prices]

  test('name the page of the provider by which each can be checked', () => {
    for (const [, , [price]] of names) expect(price?.source).toMatch(/^https:\/\/[a-z.-]+\//)
  })

  test.each([
    ...[
      'gpt-6.2-astra',
      'gpt-6.2-sol',
      'gpt-5.5',
      'gpt-5-nano',
      'o3',
      'gpt-4o',
      'gpt-audio',
      'gpt-realtime',
      'whisper-1',
    ],
    ...['tts-1', 'text-embedding-3-small', 'omni-moderation-latest', 'gpt-image-1', 'dall-e-3'],
    ...['gpt-image-2.5-flare-2026-09-08', 'gpt-image-2.6-sunburst'],
  ])('price %s of OpenAI', (model) => {
    expect(prices.find('openai', model, today).kind).toBe('priced')
  })

  test.each([
    ['anthropic', 'claude-opus-5-5', 4_000_000n, 20_000_000n],
    ['gemini', 'gemini-2.5-pro', 1_250_000n, 10_000_000n],
    ['xai', 'grok-4.3', 1_250_000n, 2_500_000n],
    ['deepseek', 'deepseek-v4-pro', 1_320_000n, 3_960_000n],
  ])('price text models of %s', (provider, model, input, output) => {
    expect(priceOf(model, provider).tiers.standard.short).toMatchObject({ input, output })
  })

  test('a dated name has its family’s price only where that is known to be the same', () => {
    expect(priceOf('gpt-4o-2024-08-06').model).toBe('gpt-4o')
    expect(priceOf('gpt-4o-2024-05-13').tiers.standard.short.input).toBe(5_000_000n)
    expect(prices.find('openai', 'gpt-4o-2031-01-01', today).kind).toBe('unpriced')
    expect(prices.find('openai', 'gpt-4o-mini-x', today).kind).toBe('unpriced')
    expect(prices.find('openai', '__proto__', today).kind).toBe('unpriced')
  })

  test('a fine-tuned model is priced by the base in its name', () => {
    expect(priceOf('ft:gpt-4o-mini-2024-07-18:acme:support:Ab12').tiers.standard.short).toMatchObject({
      input: 300_000n,
      output: 1_200_000n,
    })
    expect(prices.find('openai', 'ft:gpt-unknown:acme::x', today).kind).toBe('unpriced')
  })

  test('the price of a moment is the one then in force', () => {
    const at = (moment: string) =>
      priceOf('gpt-5.6-sol', 'openai', Date.parse(moment)).tiers.standard.short.input
    expect(at('2026-07-24T00:00:00Z')).toBe(5_000_000n)
    expect(at('2026-08-20T23:59:59.999Z')).toBe(5_000_000n)
    expect(at('2026-08-21T00:00:00Z')).toBe(4_000_000n)
    expect(at('2026-11-22T00:00:00Z')).toBe(5_000_000n)
  })

  test('the simulator charges what OpenAI charges, and a compatible API what its operator says', () => {
    expect(priceOf('gpt-5-nano', 'simulator').provider).toBe('openai')
    expect(prices.find('openai-compatible', 'gpt-5-nano', today).kind).toBe('unpriced')
  })

  test('every rate of a longer context or a quicker tier is at least the plain one', () => {
    for (const [, name, listed] of names) {
      for (const { tiers } of listed) {
        const { short, long } = tiers.standard
        for (const [kind, rate] of Object.entries(short)) {
          const over: bigint | null =
            long === null ? rate : (Object.entries(long.rates).find(([k]) => k === kind)?.[1] ?? null)
          const quick = Object.entries(tiers.priority?.short ?? short).find(([k]) => k === kind)?.[1] ?? rate
          if (rate !== null && over !== null) expect(over >= rate, `${name} long ${kind}`).toBe(true)
          if (rate !== null && quick !== null) expect(quick >= rate, `${name} priority ${kind}`).toBe(true)
        }
      }
    }
  })
})

describe('prices that can’t be right refuse to load, with the path of the field', () => {
  test.each<[string, unknown, string]>([
    ['negative', file([{ standard: { input: -1 } }]), 'models.openai.m.prices.0.standard.input'],
    ['fractional', file([{ standard: { input: 2.5 } }]), 'models.openai.m.prices.0.standard.input'],
    ['NaN', file([{ standard: { input: Number.NaN } }]), 'models.openai.m.prices.0.standard.input'],
    [
      'infinite',
      file([{ standard: { output: Number.POSITIVE_INFINITY } }]),
      'models.openai.m.prices.0.standard.output',
    ],
    [
      'beyond what JSON holds exactly',
      file([{ standard: { input: 2 ** 53 } }]),
      'models.openai.m.prices.0.standard.input',
    ],
    ['a text', file([{ standard: { input: '1' } }]), 'models.openai.m.prices.0.standard.input'],
    [
      'negative in a tier',
      file([{ standard: { input: 1 }, flex: { output: -2 } }]),
      'models.openai.m.prices.0.flex.output',
    ],
    [
      'negative for long input',
      file([{ standard: { input: 1, long: { above: 10, input: -1 } } }]),
      'models.openai.m.prices.0.standard.long.input',
    ],
    [
      'negative for an image',
      file([{ standard: { perImage: { hd: { '1x1': -1 } } } }]),
      'models.openai.m.prices.0.standard.perImage.hd.1x1',
    ],
    ['no price', file([{ standard: {} }]), 'models.openai.m.prices.0.standard'],
    ['no period', file([]), 'models.openai.m.prices'],
    ['a misspelt field', file([{ standard: { inputs: 1 } }]), 'models.openai.m.prices.0.standard'],
    ['periods out of order', file([...plain, ...plain]), 'models.openai.m.prices.1.from'],
    ['no date', file([{ from: 'soon', standard: { input: 1 } }]), 'models.openai.m.prices.0.from'],
    ['no version', { models: {} }, 'version'],
    [
      'a negative tool',
      { version: 'x', tools: { openai: { source: 's', web_search: -1 } } },
      'tools.openai.web_search',
    ],
    ['a list', [], ''],
  ])('%s', (_, value, path) => {
    const error = fault(() => parsePriceFile(value, 'mine.json'))
    expect(error.code).toBe('invalid_config')
    expect(error.param).toBe(path)
    expect(error.message).toContain('mine.json')
  })

  test('an alias of a model that is not listed', () => {
    const value = parsePriceFile({ version: 'x', aliases: { openai: { a: 'nowhere' } } }, 'mine.json')
    expect(fault(() => new PriceTable([builtInPrices(), value])).param).toBe('aliases.openai.a')
  })
})

describe('an operator’s prices', () => {
  const override = (value: object) =>
    new PriceTable([builtInPrices(), parsePriceFile({ version: 'acme', ...value }, 'acme.json')])
  const entry = { source: 'contract', contextWindow: 10, maxOutputTokens: 5, prices: plain }

  test('replace a model wholly, and its aliases with it', () => {
    const table = override({ models: { openai: { 'gpt-4o': entry } } })
    for (const name of ['gpt-4o', 'gpt-4o-2024-11-20']) {
      const found = table.find('openai', name, today)
      expect(found).toMatchObject({ kind: 'priced', price: { version: 'acme', source: 'contract' } })
    }
    expect(table.find('openai', 'gpt-4o-mini', today)).toMatchObject({ price: { version: '2026-11-21' } })
    expect(table.version).toBe('2026-11-21+acme')
  })

  test('price a compatible API’s models, by themselves or as another provider’s', () => {
    const table = override({
      models: { 'openai-compatible': { 'llama-3': entry } },
      inherit: { 'openai-compatible': 'deepseek' },
    })
    expect(table.find('openai-compatible', 'llama-3', today).kind).toBe('priced')
    expect(table.find('openai-compatible', 'deepseek-v4-pro', today)).toMatchObject({
      price: { provider: 'deepseek' },
    })
    expect(table.isOpenai('openai-compatible')).toBe(false)
  })

  test('may set a price for models that are listed nowhere, which is told apart', () => {
    const table = override({ fallback: entry })
    expect(table.find('openai', 'gpt-99', today)).toMatchObject({
      kind: 'fallback',
      price: { version: 'acme' },
    })
    expect(table.find('openai', 'gpt-4o', today).kind).toBe('priced')
  })

  test('are read from a file, whose faults name it', async () => {
    const directory = temporaryDirectory()
    const path = join(directory, 'prices.json')
    await writeFile(path, JSON.stringify({ version: 'acme', models: { openai: { 'gpt-4o': entry } } }))
    expect((await loadPrices(path)).version).toBe('2026-11-21+acme')
    await writeFile(path, '{"version":')
    await expect(loadPrices(path)).rejects.toMatchObject({
      code: 'invalid_config',
      message: expect.stringContaining(path),
    })
    await expect(loadPrices(join(directory, 'none.json'))).rejects.toMatchObject({ code: 'invalid_config' })
  })

  test('can be compared with those before, changing nothing', () => {
    const table = override({
      models: { openai: { 'gpt-4o': entry }, 'openai-compatible': { 'llama-3': entry } },
    })
    const changes = diffPrices(prices, table, today)
    expect(changes).toContainEqual({ kind: 'added', provider: 'openai-compatible', model: 'llama-3' })
    const changed = changes.find((change) => change.kind === 'changed')
    expect(changed).toMatchObject({ provider: 'openai', model: 'gpt-4o' })
    expect(changed?.fields).toContainEqual({
      field: 'standard.output',
      before: 10_000_000n,
      after: 2_000_000n,
    })
    expect(changed?.fields).toContainEqual({ field: 'priority.input', before: 4_250_000n, after: null })
    expect(changes).toHaveLength(2)
    expect(diffPrices(prices, prices, today)).toEqual([])
    expect(diffPrices(table, prices, today)).toContainEqual({
      kind: 'removed',
      provider: 'openai-compatible',
      model: 'llama-3',
    })
  })
})
