declare const unit: unique symbol

/**
 * An amount of money in nano-dollars (1e-9 USD), the unit of every budget, hold and record. A bigint,
 * because no float may touch money; it fits Postgres's `bigint` up to nine billion dollars.
 */
export type NanoUsd = bigint & { readonly [unit]: 'NanoUsd' }

const perDollar = 1_000_000_000n
const picoPerNano = 1_000n
const dollarsShape = /^(0|[1-9][0-9]{0,8})(?:\.([0-9]{1,9}))?$/

/** `amount` as money. Negative where more was spent than a limit allows. */
export function nanoUsd(amount: bigint): NanoUsd {
  return amount as NanoUsd
}

/** Pico-dollars (1e-12 USD) as nano-dollars, rounded up: what is owed is never understated. */
export function nanoUsdFromPico(pico: bigint): NanoUsd {
  const whole = pico / picoPerNano
  return nanoUsd(pico > whole * picoPerNano ? whole + 1n : whole)
}

/** `amount` in pico-dollars. */
export function picoUsd(amount: NanoUsd): bigint {
  return amount * picoPerNano
}

/**
 * Dollars as people write them: `2`, `0.5`, `0.000000001`. Up to nine digits before the point and nine
 * after it, without sign or exponent. Null for anything else, so that no amount is ever rounded unseen.
 */
export function parseUsd(text: string): NanoUsd | null {
  const [, dollars, fraction = ''] = dollarsShape.exec(text) ?? []
  return dollars === undefined ? null : nanoUsd(BigInt(dollars) * perDollar + BigInt(fraction.padEnd(9, '0')))
}

/** Dollars as a decimal string without trailing zeros: `2`, `0.5`, `-0.000000001`. The inverse of `parseUsd`. */
export function formatUsd(amount: NanoUsd): string {
  const size = amount < 0n ? -amount : amount
  const digits = (size % perDollar).toString().padStart(9, '0')
  // Each answer tells what is left of a budget, and a regular expression would cost more than all else here.
  let end = digits.length
  while (end > 0 && digits[end - 1] === '0') end--
  const fraction = digits.slice(0, end)
  return `${amount < 0n ? '-' : ''}${size / perDollar}${fraction === '' ? '' : `.${fraction}`}`
}
