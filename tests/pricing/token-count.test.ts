import fc from 'fast-check'
import { beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { PricedAsk } from '../../gateway/src/pricing/bound/ask.ts'
import { TokenCounter } from '../../gateway/src/pricing/token-count.ts'
import {
  countText,
  type LoadedEncoding,
  loadEncoding,
} from '../../gateway/src/pricing/tokenizer/count-text.ts'
import { encodingOf } from '../../gateway/src/pricing/tokenizer/encoding.ts'
import { recordLog } from '../support/recorded-log.ts'
import { bounded, boundOf } from './priced.ts'

let o200k: LoadedEncoding
let cl100k: LoadedEncoding
beforeAll(async () => {
  o200k = await loadEncoding('o200k_base')
  cl100k = await loadEncoding('cl100k_base')
})

function startCounter(options: { idleMs?: number; deadlineMs?: number; waitMs?: number } = {}) {
  const log = recordLog()
  // Long, for a busy machine.
  const counter = new TokenCounter({ log, deadlineMs: 20_000, waitMs: 20_000, ...options })
  onTestFinished(() => counter.close())
  const ask = (asked: PricedAsk, key = 'alice', signal = stays) => counter.textTokens(asked, key, signal)
  /** The tokens; null: not countable. */
  const tokensOf = async (asked: PricedAsk) => {
    const count = await ask(asked)
    if (count.kind === 'busy') throw new Error('the tokenizer is busy')
    return count.kind === 'counted' ? count.tokens : null
  }
  return { counter, log, ask, tokensOf }
}

/** Of a client that stays. */
const stays = new AbortController().signal

/** A JSON request of OpenAI's, whose body is `text` where its spelling matters. */
function askOf(endpoint: string, fields: Record<string, unknown>, text = JSON.stringify(fields)): PricedAsk {
  return { provider: 'openai', method: 'POST', endpoint, fields, bytes: Buffer.byteLength(text) }
}

const chat = '/v1/chat/completions'
const prose =
  'Budgets that are checked first and debited later can be overspent by whoever asks twice. '.repeat(20)

describe('a count of text', () => {
  // Source: https://developers.openai.com/cookbook/examples/how_to_count_tokens_with_tiktoken
  test.each([
    ['antidisestablishmentarianism', 6, 6],
    ['2 + 2 = 4', 7, 7],
    ['お誕生日おめでとう', 9, 8],
  ])('%s is what OpenAI’s own tokenizer makes of it', (text, inCl100k, inO200k) => {
    expect(countText(cl100k, text)).toBe(inCl100k)
    expect(countText(o200k, text)).toBe(inO200k)
  })

  test('reads markers of a conversation as text', () => {
    expect(countText(o200k, '<|endoftext|>')).toBeGreaterThan(1)
    expect(countText(o200k, '<|im_start|>system')).toBeGreaterThan(2)
  })

  // Merged as one piece, each of these would take half a minute.
  test.each([
    ['one letter', 'a'],
    ['spaces', ' '],
    ['emoji', '👋'],
    ['Chinese without punctuation', '中文字'],
    ['exclamation marks', '!'],
  ])('256 KiB of %s, in one piece, count a token a byte', (_, unit) => {
    const text = unit.repeat((256 * 1024) / unit.length)
    expect(countText(o200k, text)).toBe(Buffer.byteLength(text))
    expect(countText(cl100k, text)).toBe(Buffer.byteLength(text))
  })

  test('is exact beside a piece that is too long', () => {
    const long = 'x'.repeat(1000)
    expect(countText(o200k, `${prose}${long}\n${prose}`)).toBeLessThanOrEqual(
      2 * o200k.count(prose) + 1000 + 2,
    )
  })

  test('is never below the tokenizer’s own, nor above the bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary', maxLength: 600 }),
          fc.string({ unit: 'grapheme', maxLength: 600 }),
          fc
            .array(fc.constantFrom('a', 'A', ' ', '\n', '1', '中', "'s", '!', '/'), { maxLength: 600 })
            .map((all) => all.join('')),
        ),
        (text) => {
          for (const encoding of [o200k, cl100k]) {
            const count = countText(encoding, text)
            expect(count).toBeGreaterThanOrEqual(encoding.count(text))
            expect(count).toBeLessThanOrEqual(Buffer.byteLength(text))
          }
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('the tokens of a request’s text', () => {
  test('are far below its bytes where it is prose, and lower its bound', async () => {
    const { tokensOf } = startCounter()
    const fields = { model: 'gpt-4o', messages: [{ role: 'user', content: prose }], max_tokens: 16 }
    const textTokens = await tokensOf(askOf(chat, fields))
    expect(textTokens).toBeGreaterThan(o200k.count(prose))
    expect(textTokens).toBeLessThan(o200k.count(prose) + 110)
    const plain = bounded(boundOf(chat, fields))
    const counted = bounded(boundOf(chat, fields, { textTokens: textTokens ?? 0 }))
    expect(counted.nanoUsd).toBeLessThan(plain.nanoUsd)
  })

  test('are never fewer than all of its texts and frames are, however the body spells them', async () => {
    const { tokensOf } = startCounter()
    const message = fc.record({
      role: fc.constantFrom('system', 'user', 'assistant', 'developer', 'tool'),
      content: fc.oneof(
        fc.string({ unit: 'grapheme', maxLength: 300 }),
        fc.constantFrom(prose, 'x'.repeat(500), ' '.repeat(300), '\n\t"\\'.repeat(50), '中'.repeat(90)),
        fc.array(
          fc
            .string({ unit: 'grapheme', minLength: 60, maxLength: 200 })
            .map((text) => ({ type: 'text', text })),
          { minLength: 1, maxLength: 3 },
        ),
      ),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        async (messages, escaped) => {
          const fields = { model: 'gpt-4o', messages }
          const plain = JSON.stringify(fields)
          const body = escaped ? plain.replace(/[^\0-\x7f]/g, spelled) : plain
          const texts = messages.flatMap(({ content }) =>
            typeof content === 'string' ? [content] : content.map(({ text }) => text),
          )
          // What a model reads: each text, the role, and a frame of about four tokens a message.
          const least = texts.reduce((sum, text) => sum + o200k.count(text), 0) + 5 * messages.length
          const counted = await tokensOf(askOf(chat, fields, body))
          if (counted !== null) expect(counted).toBeGreaterThanOrEqual(least)
        },
      ),
      { numRuns: 150 },
    )
  })

  test('count tools, schemas and what tools gave back by their bytes', async () => {
    const { tokensOf } = startCounter()
    const messages = [{ role: 'user', content: prose }]
    const tools = [{ type: 'function', function: { name: 'f', description: prose, parameters: {} } }]
    const result = { role: 'tool', tool_call_id: 'c', content: prose }
    const plain = await tokensOf(askOf(chat, { model: 'gpt-4o', messages }))
    for (const more of [{ tools }, { messages: [...messages, result] }]) {
      const counted = await tokensOf(askOf(chat, { model: 'gpt-4o', messages, ...more }))
      expect((counted ?? 0) - (plain ?? 0)).toBeGreaterThan(prose.length)
    }
  })

  test('leave out the data of images, which are bound apart', async () => {
    const { tokensOf } = startCounter()
    const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(50_000)}` } }
    const content = [{ type: 'text', text: prose }, image]
    const counted = await tokensOf(askOf(chat, { model: 'gpt-4o', messages: [{ role: 'user', content }] }))
    expect(counted).toBeLessThan(o200k.count(prose) + 250)
  })

  test.each<[string, string, Record<string, unknown>]>([
    ['instructions and input', '/v1/responses', { model: 'gpt-5', instructions: prose, input: prose }],
    [
      'items',
      '/v1/responses',
      { model: 'gpt-5', input: [{ role: 'user', content: [{ type: 'input_text', text: prose + prose }] }] },
    ],
    ['prompts', '/v1/completions', { model: 'gpt-3.5-turbo-instruct', prompt: [prose, prose] }],
    ['texts to embed', '/v1/embeddings', { model: 'text-embedding-3-small', input: [prose, prose] }],
  ])('count %s', async (_, endpoint, fields) => {
    const { tokensOf } = startCounter()
    const counted = await tokensOf(askOf(endpoint, fields))
    expect(counted).toBeGreaterThan(2 * cl100k.count(prose) - 20)
    expect(counted).toBeLessThan(2 * cl100k.count(prose) + 160)
  })

  test.each<[string, PricedAsk]>([
    ['another provider', { ...askOf(chat, request('gpt-4o')), provider: 'openai-compatible' }],
    ['the simulator, which counts its own way', { ...askOf(chat, request('gpt-4o')), provider: 'simulator' }],
    ['a model whose encoding is not known', askOf(chat, request('gpt-6-sol'))],
    ['a model of no name', askOf(chat, request(7))],
    ['an endpoint without text', askOf('/v1/images/generations', { model: 'gpt-4o', prompt: prose })],
    ['text too short to matter', askOf(chat, request('gpt-4o', 'Hello'))],
    ['more than 256 KiB of text', askOf(chat, request('gpt-4o', prose.repeat(200)))],
    [
      'a file, which is bound by the whole window',
      askOf(
        chat,
        request('gpt-4o', [
          { type: 'text', text: prose },
          { type: 'file', file: { file_id: 'f' } },
        ]),
      ),
    ],
    [
      'a conversation that is stored elsewhere',
      askOf('/v1/responses', {
        model: 'gpt-5',
        input: [{ type: 'item_reference', id: 'x' }],
        instructions: prose,
      }),
    ],
  ])('are not counted for %s', async (_, ask) => {
    const { counter, tokensOf } = startCounter()
    expect(await tokensOf(ask)).toBeNull()
    expect(counter.loaded).toBe(false)
  })

  test.each([
    ['gpt-4o-2024-08-06', 'o200k_base'],
    ['ft:gpt-4.1-mini-2025-04-14:acme::x', 'o200k_base'],
    ['gpt-5-nano', 'o200k_base'],
    ['o4-mini', 'o200k_base'],
    ['gpt-4-0613', 'cl100k_base'],
    ['gpt-4.1', 'o200k_base'],
    ['gpt-5.6-terra', null],
    ['gpt-40', null],
    ['o1000', null],
    ['text-embedding-3', null],
  ])('%s encodes as %s', (model, encoding) => {
    expect(encodingOf(model)).toBe(encoding)
  })
})

function request(model: unknown, content: unknown = prose): Record<string, unknown> {
  return { model, messages: [{ role: 'user', content }] }
}

describe('the tokenizer', () => {
  const asked = askOf(chat, request('gpt-4o'))
  const kinds = (counts: readonly { readonly kind: string }[]) => counts.map(({ kind }) => kind)

  test('leaves when nobody counts, and comes again', async () => {
    const { counter, tokensOf } = startCounter({ idleMs: 1 })
    const first = await tokensOf(asked)
    await vi.waitFor(() => expect(counter.loaded).toBe(false), 10_000)
    expect(await tokensOf(asked)).toBe(first)
  })

  test('a count that takes too long is put off, and takes no other with it', async () => {
    const { counter, log, ask } = startCounter({ deadlineMs: 0 })
    expect(kinds(await Promise.all([ask(asked, 'alice'), ask(asked, 'bob')]))).toEqual(['busy', 'busy'])
    // Each had its own time.
    const timedOut = 'tokens.count_timed_out'
    expect(log.events.map(({ event }) => event)).toEqual([timedOut, timedOut])
    expect(counter.loaded).toBe(false)
  })

  test('is for every key: one has one count waiting at the most, and its turn comes after everybody else’s', async () => {
    const { ask } = startCounter()
    const order: string[] = []
    const askAs = async (key: string) => {
      const { kind } = await ask(asked, key)
      if (kind === 'counted') order.push(key)
      return { kind }
    }
    const greedy = Array.from({ length: 6 }, () => askAs('greedy'))
    const others = ['alice', 'bob'].map(askAs)
    await greedy[0]
    greedy.push(askAs('greedy'))
    expect(kinds(await Promise.all(others))).toEqual(['counted', 'counted'])
    const refused = Array.from({ length: 4 }, () => 'busy')
    expect(kinds(await Promise.all(greedy))).toEqual(['counted', 'counted', ...refused, 'counted'])
    expect(order).toEqual(['greedy', 'greedy', 'alice', 'bob', 'greedy'])
  })

  test('lets no more keys wait than it can count for soon', async () => {
    const { ask } = startCounter()
    const counts = await Promise.all(Array.from({ length: 18 }, (_, key) => ask(asked, `key ${key}`)))
    expect(kinds(counts)).toEqual([...Array.from({ length: 17 }, () => 'counted'), 'busy'])
  })

  test('lets nobody wait for long', async () => {
    const { ask } = startCounter({ waitMs: 0 })
    expect(kinds(await Promise.all([ask(asked, 'alice'), ask(asked, 'bob')]))).toEqual(['counted', 'busy'])
  })

  test('a client that leaves gives up its place', async () => {
    const { ask } = startCounter()
    const leaving = new AbortController()
    const first = ask(asked, 'alice')
    const left = ask(asked, 'bob', leaving.signal)
    leaving.abort()
    expect(await left).toEqual({ kind: 'busy' })
    expect(kinds(await Promise.all([first, ask(asked, 'bob')]))).toEqual(['counted', 'counted'])
    expect(await ask(asked, 'bob', leaving.signal)).toEqual({ kind: 'busy' })
  })

  test('counts no more once it is closed, and leaves nobody waiting', async () => {
    const { counter, ask } = startCounter()
    const waiting = [ask(asked, 'alice'), ask(asked, 'bob')]
    await counter.close()
    expect(kinds(await Promise.all(waiting))).toEqual(['busy', 'busy'])
    expect(await ask(asked)).toEqual({ kind: 'busy' })
    expect(counter.loaded).toBe(false)
  })
})

/** Spells a character by its UTF-16 units. */
function spelled(character: string): string {
  return [...Array(character.length).keys()]
    .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`)
    .join('')
}
