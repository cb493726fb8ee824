import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { run } from '../../gateway/src/cli/program.ts'
import { Terminal } from '../../gateway/src/cli/terminal.ts'
import { parsePriceFile } from '../../gateway/src/pricing/price-file.ts'
import { startAdminServer } from '../admin/admin-server.ts'
import { latchkey as runProcess } from '../cli/latchkey-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { today } from './priced.ts'

const clock = { now: () => today, monotonic: () => 0 }

/** Runs a command to its end. */
async function latchkey(args: readonly string[], settings: NodeJS.ProcessEnv = {}) {
  // Where no gateway runs.
  const env = { LATCHKEY_DATA_DIR: join(temporaryDirectory(), 'none'), ...settings }
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() }
  const output = Promise.all([text(streams.stdout), text(streams.stderr)])
  const status = await run(args, { env, terminal: new Terminal(streams), clock })
  streams.stdout.end()
  streams.stderr.end()
  const [stdout, stderr] = await output
  return { status, stdout, stderr }
}

/** The example of docs/pricing.md. */
const document = readFileSync(new URL('../../docs/pricing.md', import.meta.url), 'utf8')
const example = /```json\n([\s\S]*?)```/.exec(document)?.[1] ?? ''

function exampleFile(): string {
  const path = join(temporaryDirectory(), 'prices.json')
  writeFileSync(path, example)
  return path
}

describe('latchkey prices show', () => {
  test('shows dollars per million tokens, in every tier, without a gateway', async () => {
    const { status, stdout } = await latchkey(['prices', 'show', 'gpt-4o-2024-08-06'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/^model +gpt-4o$/m)
    expect(stdout).toMatch(/^\$ per 1M tokens +standard +batch +priority$/m)
    expect(stdout).toMatch(/^output +10 +5 +17$/m)
    expect(stdout).toContain('https://developers.openai.com/')
  })

  test('shows what is not billed by the token', async () => {
    expect((await latchkey(['prices', 'show', 'whisper-1'])).stdout).toMatch(/perMinute +\$0\.006 per minute/)
    expect((await latchkey(['prices', 'show', 'tts-1'])).stdout).toMatch(/\$15 per 1M characters/)
  })

  test('shows a price of nothing', async () => {
    expect((await latchkey(['prices', 'show', 'omni-moderation-latest'])).stdout).toMatch(/^input +0$/m)
  })

  test('prints one JSON array of pico-dollars', async () => {
    const { stdout } = await latchkey(['prices', 'show', 'gpt-5-nano', '--provider', 'openai', '--json'])
    expect(JSON.parse(stdout)).toEqual([
      expect.objectContaining({
        provider: 'openai',
        model: 'gpt-5-nano',
        figures: expect.objectContaining({ 'standard.input': 50_000, 'flex.output': 200_000 }),
      }),
    ])
  })

  test('shows the operator’s price where there is one', async () => {
    const env = { LATCHKEY_PRICES_FILE: exampleFile() }
    expect((await latchkey(['prices', 'show', 'llama-3.3-70b'], env)).stdout).toMatch(/version +acme-2026-11/)
    const fallback = await latchkey(['prices', 'show', 'gpt-99', '--provider', 'openai'], env)
    expect(fallback.stdout).toMatch(/^output +180$/m)
  })

  test('ends with 1 for a model that has no price, and with 78 for a file that can’t be used', async () => {
    expect(await latchkey(['prices', 'show', 'gpt-99'])).toMatchObject({ status: 1, stdout: '' })
    const env = { LATCHKEY_PRICES_FILE: '/nowhere/prices.json' }
    expect(await latchkey(['prices', 'show', 'gpt-4o'], env)).toMatchObject({ status: 78, stdout: '' })
  })
})

describe('latchkey prices list', () => {
  test('shows every model, in dollars per million tokens, and where its price was set', async () => {
    const env = { LATCHKEY_PRICES_FILE: exampleFile() }
    const { status, stdout, stderr } = await latchkey(['prices', 'list'], env)
    expect(status).toBe(0)
    expect(stdout).toMatch(/^openai +gpt-5-nano +0\.05 +0\.4 +272000 +built in +2026-11-21$/m)
    expect(stdout).toMatch(
      /^openai-compatible +llama-3\.3-70b +0\.59 +0\.79 +131072 +by the file +acme-2026-11$/m,
    )
    expect(stdout).toMatch(/^\* +\* +30 +180 +1050000 +by the file/m)
    expect(stderr).toContain('No gateway runs')
  })

  test('shows one provider’s alone, and prints one JSON array', async () => {
    const { stdout } = await latchkey(['prices', 'list', '--provider', 'deepseek', '--json'])
    const listed: unknown = JSON.parse(stdout)
    expect(listed).toContainEqual(expect.objectContaining({ provider: 'deepseek', model: 'deepseek-v4-pro' }))
    expect(listed).not.toContainEqual(expect.objectContaining({ provider: 'openai' }))
  })
})

describe('with a gateway', () => {
  /** A gateway, and the settings by which commands find it. */
  async function gateway() {
    const { url, token } = await startAdminServer()
    return { LATCHKEY_URL: url, LATCHKEY_TOKEN: token }
  }

  /** A file that sets one model, and the fallback. */
  function twoPrices(): string {
    const path = join(temporaryDirectory(), 'two.json')
    const entry = { source: 'contract', prices: [{ standard: { input: 1_000_000, output: 3_000_000 } }] }
    writeFileSync(
      path,
      JSON.stringify({ version: 'x', models: { openai: { 'gpt-4o': entry } }, fallback: entry }),
    )
    return path
  }

  test('prices are tried, set, shown, and removed again', async () => {
    const env = await gateway()
    const path = twoPrices()
    const dry = await latchkey(['prices', 'set', path, '--dry-run'], env)
    expect(dry).toMatchObject({ status: 0, stderr: expect.stringContaining('nothing has changed') })
    expect(dry.stdout).toMatch(/openai +gpt-4o +standard\.output +\$10 per 1M tokens +\$3 per 1M tokens/)
    expect((await latchkey(['prices', 'show', 'gpt-4o'], env)).stdout).toMatch(/^set +built in$/m)

    const done = await latchkey(['prices', 'set', path], env)
    expect(done).toMatchObject({ status: 0, stdout: dry.stdout, stderr: '' })
    const shown = await latchkey(['prices', 'show', 'gpt-4o-2024-08-06'], env)
    expect(shown.stdout).toMatch(/^set +by the API$/m)
    expect(shown.stdout).toMatch(/^output +3$/m)
    expect((await latchkey(['prices', 'list'], env)).stdout).toMatch(/^\* +\* +1 +3 .* by the API +api-/m)
    expect((await latchkey(['prices', 'set', path], env)).stdout).toContain('in force already')

    const removed = await latchkey(['prices', 'remove', 'openai', 'gpt-4o'], env)
    expect(removed.stdout).toMatch(/openai +gpt-4o +standard\.output +\$3 per 1M tokens +\$10 per 1M tokens/)
    expect(await latchkey(['prices', 'remove', '*', '*', '--json'], env)).toMatchObject({
      stdout: `${JSON.stringify({ dryRun: false, changes: [{ kind: 'removed', provider: '*', model: '*' }] })}\n`,
    })
    expect(await latchkey(['prices', 'remove', 'openai', 'gpt-4o'], env)).toMatchObject({ status: 1 })
  })

  test('what only a file can say is refused, and nothing is set', async () => {
    const env = await gateway()
    const path = join(temporaryDirectory(), 'aliases.json')
    writeFileSync(path, JSON.stringify({ version: 'x', aliases: { openai: { mine: 'gpt-4o' } } }))
    const refused = await latchkey(['prices', 'set', path], env)
    expect(refused).toMatchObject({ status: 1, stdout: '' })
    expect(refused.stderr).toContain('aliases')
  })

  test('one that was named and does not answer is not replaced by files', async () => {
    const env = { LATCHKEY_URL: 'http://127.0.0.1:1', LATCHKEY_TOKEN: 'x' }
    expect(await latchkey(['prices', 'show', 'gpt-4o'], env)).toMatchObject({ status: 69, stdout: '' })
  })
})

test.each([
  ['that is not there', null, 'ENOENT'],
  ['that is no JSON', '{\n  "version": "x",\n}', 'line 3'],
  [
    'with a wrong price',
    example.replace('2500000', '-2500000'),
    'models.openai.gpt-4o.prices.0.standard.input',
  ],
])('a gateway does not start with a file %s, and says what is wrong with it', async (_, content, what) => {
  const path = join(temporaryDirectory(), 'prices.json')
  if (content !== null) writeFileSync(path, content)
  const settings = { LATCHKEY_DATA_DIR: join(temporaryDirectory(), 'data'), LATCHKEY_PRICES_FILE: path }
  const ended = await runProcess(['serve'], settings)
  expect(ended.status).toBe(78)
  for (const part of ['LATCHKEY_PRICES_FILE', path, what]) expect(ended.stderr).toContain(part)
})

describe('latchkey prices check', () => {
  test('shows what would change, and changes nothing', async () => {
    const path = exampleFile()
    const { status, stdout } = await latchkey(['prices', 'check', path])
    expect(status).toBe(0)
    expect(stdout).toMatch(/openai +gpt-4o +priority\.input +\$4\.25 per 1M tokens +-/)
    expect(stdout).toMatch(/openai-compatible +llama-3\.3-70b +added/)
    expect(readFileSync(path, 'utf8')).toBe(example)
  })

  test('says so where nothing would', async () => {
    const path = exampleFile()
    const { stdout } = await latchkey(['prices', 'check', path], { LATCHKEY_PRICES_FILE: path })
    expect(stdout).toContain('changes nothing')
  })

  test('prints one JSON array', async () => {
    const changes: unknown = JSON.parse((await latchkey(['prices', 'check', exampleFile(), '--json'])).stdout)
    expect(changes).toContainEqual({ kind: 'added', provider: 'openai-compatible', model: 'llama-3.3-70b' })
    expect(changes).toContainEqual(
      expect.objectContaining({
        kind: 'changed',
        fields: expect.arrayContaining([{ field: 'batch.input', before: 1_250_000, after: null }]),
      }),
    )
  })

  test('names the path of a field that is wrong', async () => {
    const path = join(temporaryDirectory(), 'prices.json')
    writeFileSync(path, example.replace('2500000', '-2500000'))
    const { status, stderr } = await latchkey(['prices', 'check', path])
    expect(status).toBe(78)
    expect(stderr).toContain('models.openai.gpt-4o.prices.0.standard.input')
  })
})

test('the example of docs/pricing.md can be used, and every field of a file stands in its table', () => {
  const file = parsePriceFile(JSON.parse(example), 'docs/pricing.md')
  expect(Object.keys(file.models)).toEqual(['openai', 'openai-compatible'])
  const fields = ['gateway/src/pricing/price-file.ts', 'shared/src/api/price.ts']
    .map(
      (path) =>
        readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8').split(
          '/** What a model costs now. */',
        )[0],
    )
    .join('')
  for (const [, field] of fields.matchAll(/^ {2}(\w+): (?:pico|count|bySize|text|priceEnt|z\.)/gm)) {
    expect
      .soft(document, `${field} in docs/pricing.md`)
      .toMatch(new RegExp(`^\\|.*\`[^\`]*\\b${field}\\b`, 'm'))
  }
})
