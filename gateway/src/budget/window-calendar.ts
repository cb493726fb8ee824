/**
 * SQL for the first moment of the window that `at` lies in, by the UTC calendar; weeks begin on Mondays.
 * A `total` has one window, which begins at the Unix epoch.
 */
export function windowStart(period: string, at: string): string {
  return `CASE ${period} WHEN 'total' THEN to_timestamp(0) ELSE date_trunc(${period}, ${at} AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' END`
}

/** SQL for the moment at which that window is over; null for a `total`. */
export function windowEnd(period: string, at: string): string {
  return `CASE ${period} WHEN 'total' THEN NULL ELSE (date_trunc(${period}, ${at} AT TIME ZONE 'UTC') + ('1 ' || ${period})::interval) AT TIME ZONE 'UTC' END`
}
