import { parseUsd, timestampInput } from '@latchkey/shared'
import { InvalidArgumentError } from 'commander'

const secondsPer: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/** Seconds of a duration: `90s`, `15m`, `24h`, `30d`, `2w`, or `0`. Throws commander's error for bad arguments. */
export function durationSeconds(text: string): number {
  if (text === '0') return 0
  const match = /^([0-9]{1,7})([smhdw])$/.exec(text)
  const size = secondsPer[match?.[2] ?? '']
  if (match === null || size === undefined) {
    throw new InvalidArgumentError('It must be a duration like 30m, 24h or 30d.')
  }
  return Number(match[1]) * size
}

/** RFC 3339 of a moment: a time with its offset, or a duration from `now` (milliseconds since the epoch). */
export function moment(text: string, now: number): string {
  const parsed = timestampInput.safeParse(text)
  if (parsed.success) return new Date(text).toISOString()
  if (!/^[0-9]+[smhdw]$/.test(text)) {
    throw new InvalidArgumentError(
      'It must be a time like 2026-12-06T18:00:00Z, or a duration like 30d or 12h.',
    )
  }
  return new Date(now + durationSeconds(text) * 1000).toISOString()
}

/** RFC 3339 of a moment that is over: a UTC day, a time with its offset, or a duration before `now` (as in `moment`). */
export function pastMoment(text: string, now: number): string {
  const day = timestampInput.safeParse(`${text}T00:00:00Z`)
  if (day.success) return new Date(text).toISOString()
  if (/^[0-9]+[smhdw]$/.test(text)) return new Date(now - durationSeconds(text) * 1000).toISOString()
  const parsed = timestampInput.safeParse(text)
  if (parsed.success) return new Date(text).toISOString()
  throw new InvalidArgumentError(
    'It must be a day like 2026-12-06 (UTC), a time like 2026-12-06T18:00:00Z, or a duration before now like 7d.',
  )
}

/** Dollars, as the API takes them. Throws commander's error for bad arguments. */
export function amount(text: string): string {
  if (parseUsd(text) !== null) return text
  throw new InvalidArgumentError('It must be dollars like 4 or 2.50, with at most nine decimals.')
}

/** The same, or with a minus sign less. */
export function signedAmount(text: string): string {
  return text.startsWith('-') ? `-${amount(text.slice(1))}` : amount(text)
}

/** Whole percentages, with commas. Throws commander's error for bad arguments. */
export function percentages(text: string): number[] {
  const percents = list(text).map((item) => (/^[0-9]{1,4}%?$/.test(item) ? Number.parseInt(item, 10) : 0))
  if (percents.every((percent) => percent >= 1 && percent <= 1000)) return percents
  throw new InvalidArgumentError('It must be whole percentages from 1 to 1000, like 50,80,100.')
}

/** The items of a list with commas. Throws commander's error where none is left. */
export function list(text: string): string[] {
  const items = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
  if (items.length === 0) throw new InvalidArgumentError('It must name at least one.')
  return items
}

/** For an option that may be given several times, each time with one value or a list with commas. */
export function collect(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), ...list(text)]
}

/** For an option that may be given several times, each time with one value. */
export function collectOne(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text]
}

/** A parser of whole numbers from `least` to `most`. */
export function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
  }
}

/** A parser of decimal numbers from `least` to `most`. */
export function decimal(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^[0-9]{1,15}(?:\.[0-9]{1,15})?$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`It must be a number from ${least} to ${most}.`)
  }
}
