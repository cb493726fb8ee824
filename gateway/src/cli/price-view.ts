import { formatUsd, nanoUsdFromPico, type PriceChangeWire, type PriceWire } from '@latchkey/shared'
import { fields, table } from './table.ts'

/** All of one price, as people compare them: dollars for a million tokens, a column a tier. */
export function priceDetails(price: PriceWire): string {
  const { listedAs, figures } = price
  const parts = [
    fields([
      ['model', listedAs.model],
      ['provider', listedAs.provider],
      ['context window', limit(figures['limits.contextWindow'])],
      ['maximum output', limit(figures['limits.maxOutputTokens'])],
      ['in force since', price.from ?? 'as far back as we know'],
      ['set', originNames[price.origin]],
      ['version', price.version],
      ['source', price.source],
    ]),
  ]
  const columns = tokenColumns(figures)
  const kinds = [...new Set(columns.flatMap(({ rates }) => [...rates.keys()]))]
  if (kinds.length > 0) {
    parts.push(
      table(
        ['$ per 1M tokens', ...columns.map(({ name }) => name)],
        kinds.map((kind) => [kind, ...columns.map(({ rates }) => perMillionTokens(rates.get(kind)))]),
      ),
    )
  }
  const pieces = Object.entries(figures).filter(([field]) => field.includes('.per'))
  if (pieces.length > 0) {
    parts.push(
      table(
        ['otherwise', 'price'],
        pieces.map(([field, figure]) => [field, shown(field, figure)]),
      ),
    )
  }
  return parts.join('\n\n')
}

/** One price a line. */
export function priceList(prices: readonly PriceWire[]): string {
  return table(
    ['provider', 'model', '$ per 1M in', 'out', 'context', 'set', 'version'],
    prices.map(({ provider, model, figures, origin, version }) => [
      provider,
      model,
      perMillionTokens(figures['standard.input']),
      perMillionTokens(figures['standard.output']),
      limit(figures['limits.contextWindow']),
      originNames[origin],
      version,
    ]),
  )
}

/** What changed, or would. */
export function changeList(changes: readonly PriceChangeWire[]): string {
  return table(
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
  )
}

const originNames = { 'built-in': 'built in', file: 'by the file', api: 'by the API' } as const

interface TokenColumn {
  readonly name: string
  readonly rates: ReadonlyMap<string, number>
}

/** One column a tier, and one more where a long input costs more. */
function tokenColumns(figures: PriceWire['figures']): readonly TokenColumn[] {
  const columns = new Map<string, Map<string, number>>()
  for (const [field, figure] of Object.entries(figures)) {
    const [tier = '', ...rest] = field.split('.')
    const [first = '', second] = rest
    if (tier === 'limits' || first.startsWith('per') || second === 'above') continue
    const name = first === 'long' ? `${tier} > ${figures[`${tier}.long.above`]} in` : tier
    const column = columns.get(name) ?? new Map<string, number>()
    columns.set(name, column.set(second ?? first, figure))
  }
  return [...columns].map(([name, rates]) => ({ name, rates }))
}

const perMillion = 1_000_000n

function perMillionTokens(figure: number | undefined): string | null {
  return figure === undefined ? null : dollars(figure, perMillion)
}

/** A figure with its unit. */
function shown(field: string, figure: number | null): string | null {
  if (figure === null) return null
  if (field.startsWith('limits.') || field.endsWith('.above')) return String(figure)
  const unit = /\.per([A-Z][a-z]+)/.exec(field)?.[1]?.toLowerCase() ?? 'token'
  if (unit === 'token' || unit === 'character') return `$${dollars(figure, perMillion)} per 1M ${unit}s`
  return `$${dollars(figure, 1n)} per ${unit}`
}

function dollars(pico: number, pieces: bigint): string {
  return formatUsd(nanoUsdFromPico(BigInt(pico) * pieces))
}

function limit(figure: number | undefined): string | null {
  return figure === undefined ? null : String(figure)
}
