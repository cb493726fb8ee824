import { formatUsd, nanoUsd, parseUsd } from '@latchkey/shared'

const nanoPerMicro = 1000n

/**
 * Dollars as the API spells them, for a table: two to six decimals, rounded to the nearest. What is not zero never
 * looks like it: `$4.00`, `$0.0125`, `<$0.000001`.
 */
export function dollars(usd: string): string {
  const less = usd.startsWith('-')
  const amount = parseUsd(less ? usd.slice(1) : usd)
  if (amount === null) return `$${usd}`
  const micro = (amount + nanoPerMicro / 2n) / nanoPerMicro
  if (micro === 0n && amount > 0n) return less ? '>-$0.000001' : '<$0.000001'
  const [whole = '0', fraction = ''] = formatUsd(nanoUsd(micro * nanoPerMicro)).split('.')
  return `${less ? '-' : ''}$${whole}.${fraction.padEnd(2, '0')}`
}
