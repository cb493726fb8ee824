import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { run } from '../../gateway/src/cli/program.ts'
import { Terminal } from '../../gateway/src/cli/terminal.ts'
import { parsePriceFile } from '../../gateway/src/pricing/price-file.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { today } from './priced.ts'

const clock = { now: () => today, monotonic: () => 0 }

/** Runs a command to its end. */
async function latchkey(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
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
  const fields = readFileSync(new URL('../../gateway/src/pricing/price-file.ts', import.meta.url), 'utf8')
  for (const [, field] of fields.matchAll(/^ {2}(\w+): (?:pico|count|bySize|z\.)/gm)) {
    expect
      .soft(document, `${field} in docs/pricing.md`)
      .toMatch(new RegExp(`^\\|.*\`[^\`]*\\b${field}\\b`, 'm'))
  }
})
