import { describe, expect, test } from 'vitest'
import { mostLimit } from '../../gateway/src/budget/change-budget.ts'
import { builtInPrices } from '../../gateway/src/pricing/load-prices.ts'
import { parsePriceFile } from '../../gateway/src/pricing/price-file.ts'
import { PriceTable } from '../../gateway/src/pricing/price-table.ts'
import { type PricedRequest, quoteFor, tokensOf } from '../../gateway/src/proxy/quote.ts'
import { bounded, prices, refused, today } from './priced.ts'

const hello = [{ role: 'user', content: 'Hello' }]

function request(
  fields: Readonly<Record<string, unknown>>,
  endpoint = '/v1/chat/completions',
): PricedRequest {
  const bytes = Buffer.byteLength(JSON.stringify(fields))
  return { method: 'POST', endpoint, fields, bytes, at: today }
}

function tokens(asked: PricedRequest, table = prices): number {
  return tokensOf(quoteFor(table, 'openai', asked), asked)
}

describe('what a request may take of a limit that counts tokens', () => {
  test('is its bound, where its model can put out as much', () => {
    const asked = request({ model: 'gpt-4o', messages: hello, max_tokens: 100, n: 3 })
    expect(tokens(asked)).toBe(asked.bytes + 256 + 300)
  })

  test('is no more than its model can put out, for each choice', () => {
    const asked = request({ model: 'gpt-4o', messages: hello, max_tokens: 10_000_000, n: 3 })
    expect(tokens(asked)).toBe(asked.bytes + 256 + 3 * 16_384)
  })

  test.each<[string, object]>([
    ['choices', { model: 'gpt-5', messages: hello, n: 128, max_completion_tokens: 128_000 }],
    ['a model whose maximum is not known', { model: 'chat-latest', messages: hello, max_tokens: 10_000_000 }],
    ['a cap that is refused under a budget', { model: 'gpt-4o', messages: hello, max_tokens: 1e300 }],
    ['a model that has no price', { model: 'gpt-99', messages: hello, max_tokens: 9_007_199_254_740_991 }],
  ])('is never more than ten million: %s', (_, fields) => {
    expect(tokens(request({ ...fields }))).toBe(10_000_000)
  })

  test('is its bytes and its cap, where it has no bound', () => {
    const asked = request({ model: 'gpt-99', messages: hello, max_tokens: 500 })
    expect(tokens(asked)).toBe(asked.bytes + 500)
    const uncapped = request({ model: 'gpt-99', messages: hello, max_tokens: 'many' })
    expect(tokens(uncapped)).toBe(uncapped.bytes)
  })
})

test('what may cost more than any budget can have is refused', () => {
  const entry = {
    source: 'test',
    contextWindow: 1000,
    prices: [{ standard: { input: 1, output: 900_000_000_000_000 } }],
  }
  const table = new PriceTable([
    builtInPrices(),
    parsePriceFile({ version: 'test', models: { openai: { dear: entry } } }, 'test.json'),
  ])
  const ask = (max_tokens: number) =>
    quoteFor(table, 'openai', request({ model: 'dear', messages: hello, max_tokens })).bound
  expect(bounded(ask(1_000_000)).nanoUsd <= mostLimit).toBe(true)
  expect(refused(ask(10_000_000))).toMatchObject({ code: 'unsupported_parameter', param: 'max_tokens' })
})
