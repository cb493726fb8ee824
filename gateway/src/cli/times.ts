const units = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
] as const

// Made when it is first used: it takes 20 ms, which every command would pay.
let relative: Intl.RelativeTimeFormat | null = null

/** How far `timestamp` (RFC 3339) is from `now` (milliseconds since the epoch): `3 min. ago`, `in 2 days`. Null: `-`. */
export function relativeTime(timestamp: string | null, now: number): string {
  if (timestamp === null) return '-'
  const distance = Date.parse(timestamp) - now
  for (const [unit, size] of units) {
    if (Math.abs(distance) < size) continue
    relative ??= new Intl.RelativeTimeFormat('en', { style: 'short', numeric: 'always' })
    return relative.format(Math.round(distance / size), unit)
  }
  return 'now'
}

/** The moment itself and how far it is: for the view of one thing. */
export function exactTime(timestamp: string | null, now: number): string {
  return timestamp === null ? '-' : `${timestamp} (${relativeTime(timestamp, now)})`
}
