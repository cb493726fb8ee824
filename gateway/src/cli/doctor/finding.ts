/** What one check found. `advice` says what to do, wherever there is something to do. */
export interface Finding {
  readonly check: string
  readonly outcome: 'ok' | 'warn' | 'fail'
  readonly detail: string
  readonly advice: string | null
}

export function ok(check: string, detail: string): Finding {
  return { check, outcome: 'ok', detail, advice: null }
}

/** It works, but not as it should, or not for long. */
export function warn(check: string, detail: string, advice: string): Finding {
  return { check, outcome: 'warn', detail, advice }
}

/** It does not work. */
export function fail(check: string, detail: string, advice: string): Finding {
  return { check, outcome: 'fail', detail, advice }
}
