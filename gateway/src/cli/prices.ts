import { formatUsd, nanoUsdFromPico } from '@latchkey/shared'
import type { Command } from 'commander'
import { builtInPrices, loadPrices, readPriceFile } from '../pricing/load-prices.ts'
import type { Price } from '../pricing/price.ts'
import { diffPrices, type FieldChange, flatten, listedRates } from '../pricing/price-diff.ts'
import { PriceTable } from '../pricing/price-table.ts'
import { CommandFailure, exitCode } from './exit-code.ts'
import type { Surroundings } from './surroundings.ts'
import { fields, table } from './table.ts'
import type { Terminal } from './terminal.ts'

interface ShowOptions {
  readonly provider?: string
  readonly json?: true
}

interface CheckOptions {
  readonly json?: true
}

/** `latchkey prices …`: what models cost here. Needs no gateway: it reads what a gateway would read. */
export function addPriceCommands(program: Command, surroundings: Surroundings): void {
  const { terminal, env, clock } = surroundings
  const group = program.command('prices').description('look at what models cost')

  group
    .command('show')
    .description('show what a model costs now')
    .argument('<model>', 'its name, as in a request')
    .option('--provider <name>', 'whose model it is (default: every provider that lists it)')
    .option('--json', 'print one JSON array, prices in pico-dollars')
    .addHelpText(
      'after',
      `
LATCHKEY_PRICES_FILE names a file whose prices are laid over the built-in ones.
Examples:
  latchkey prices show gpt-5-nano
  latchkey prices show claude-haiku-4-5 --provider anthropic --json`,
    )
    .action(async (model: string, options: ShowOptions) => {
      const prices = await loadPrices(env.LATCHKEY_PRICES_FILE || null)
      const found = pricesOf(prices, model, options.provider ?? null, clock.now())
      if (found.length === 0) {
        throw new CommandFailure(
          exitCode.failure,
          `No price is known for ${model}. A key with a budget can’t use it; docs/pricing.md says how to add one.`,
        )
      }
      if (options.json) return terminal.json(found.map(priceJson))
      for (const [index, price] of found.entries()) {
        if (index > 0) terminal.line()
        showPrice(price, terminal)
      }
    })

  group
    .command('check')
    .description('show what a file of prices would change; changes nothing')
    .argument('<file>', 'the file that LATCHKEY_PRICES_FILE would name')
    .option('--json', 'print one JSON array')
    .action(async (path: string, options: CheckOptions) => {
      const builtIn = builtInPrices()
      const after = new PriceTable([builtIn, await readPriceFile(path)])
      const before = await loadPrices(env.LATCHKEY_PRICES_FILE || null)
      const changes = diffPrices(before, after, clock.now())
      if (options.json) {
        return terminal.json(
          changes.map((change) =>
            change.kind === 'changed' ? { ...change, fields: change.fields.map(changeJson) } : change,
          ),
        )
      }
      if (changes.length === 0) return terminal.line('The file is valid, and changes nothing now.')
      terminal.line(
        table(
          ['provider', 'model', 'field', 'before', 'after'],
          changes.flatMap((change) =>
            change.kind === 'changed'
              ? change.fields.map(({ field, before, after }) => [
                  change.provider,
                  change.model,
                  field,
                  shown(field, before),
                  shown(field, after),
                ])
              : [[change.provider, change.model, change.kind, null, null]],
          ),
        ),
      )
    })
}

function pricesOf(prices: PriceTable, model: string, provider: string | null, at: number): readonly Price[] {
  const providers = provider === null ? [...new Set([...prices].map(([name]) => name))] : [provider]
  return providers.flatMap((name) => {
    const found = prices.find(name, model, at)
    // A fallback holds for every name; only where it was asked for is it an answer.
    return found.kind === 'priced' || (found.kind === 'fallback' && provider !== null) ? [found.price] : []
  })
}

function priceJson(price: Price) {
  return {
    provider: price.provider,
    model: price.model,
    version: price.version,
    from: price.from === null ? null : new Date(price.from).toISOString(),
    source: price.source,
    searches: price.limits.searches,
    figures: Object.fromEntries(
      [...flatten(price)].flatMap(([field, figure]) => (figure === null ? [] : [[field, Number(figure)]])),
    ),
  }
}

function changeJson({ field, before, after }: FieldChange) {
  return {
    field,
    before: before === null ? null : Number(before),
    after: after === null ? null : Number(after),
  }
}

function showPrice(price: Price, terminal: Terminal): void {
  const { contextWindow, maxOutputTokens } = price.limits
  terminal.line(
    fields([
      ['model', price.model],
      ['provider', price.provider],
      ['context window', contextWindow === null ? null : String(contextWindow)],
      ['maximum output', maxOutputTokens === null ? null : String(maxOutputTokens)],
      ['in force since', price.from === null ? 'as far back as we know' : new Date(price.from).toISOString()],
      ['version', price.version],
      ['source', price.source],
    ]),
  )
  const columns = tokenColumns(price)
  const kinds = Object.keys(price.tiers.standard.short).filter((kind) =>
    columns.some(([, rates]) => rates.has(kind)),
  )
  if (kinds.length > 0) {
    terminal.line()
    terminal.line(
      table(
        ['$ per 1M tokens', ...columns.map(([name]) => name)],
        kinds.map((kind) => [
          kind,
          ...columns.map(([, rates]) => dollars(rates.get(kind) ?? null, perMillion)),
        ]),
      ),
    )
  }
  const pieces = [...flatten(price)].filter(([field, figure]) => figure !== null && field.includes('.per'))
  if (pieces.length > 0) {
    terminal.line()
    terminal.line(
      table(
        ['otherwise', 'price'],
        pieces.map(([field, figure]) => [field, shown(field, figure)]),
      ),
    )
  }
}

/** One column a tier, and one more where a long input costs more. */
function tokenColumns(
  price: Price,
): readonly (readonly [name: string, rates: ReadonlyMap<string, bigint | null>])[] {
  return Object.entries(price.tiers).flatMap(([tier, { short, long }]) => [
    [tier, new Map(Object.entries(listedRates(short)))] as const,
    ...(long === null
      ? []
      : [[`${tier} > ${long.above} in`, new Map(Object.entries(listedRates(long.rates)))] as const]),
  ])
}

const perMillion = 1_000_000n

/** A figure as people compare it: dollars for a million tokens or characters, or for one piece. */
function shown(field: string, figure: bigint | null): string | null {
  if (figure === null) return null
  if (field.startsWith('limits.') || field.endsWith('.above')) return String(figure)
  const unit = /\.per([A-Z][a-z]+)/.exec(field)?.[1]?.toLowerCase() ?? 'token'
  if (unit === 'token' || unit === 'character') return `$${dollars(figure, perMillion)} per 1M ${unit}s`
  return `$${dollars(figure, 1n)} per ${unit}`
}

function dollars(pico: bigint | null, pieces: bigint): string | null {
  return pico === null ? null : formatUsd(nanoUsdFromPico(pico * pieces))
}
