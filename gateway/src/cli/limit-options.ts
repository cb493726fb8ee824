import { type LimitPeriod, limitKind, mostLimit, type RateLimitWire } from '@latchkey/shared'
import { type Command, Option } from 'commander'
import { whole } from './option-values.ts'

/** What the options of `addLimitOptions` leave; false: this limit is to go. */
export interface LimitOptions {
  readonly rpm?: number | false
  readonly rph?: number | false
  readonly rpd?: number | false
  readonly tpm?: number | false
  readonly tph?: number | false
  readonly tpd?: number | false
  readonly concurrency?: number | false
}

const refilling: readonly (readonly [keyof LimitOptions, 'requests' | 'tokens', LimitPeriod])[] = [
  ['rpm', 'requests', 'minute'],
  ['rph', 'requests', 'hour'],
  ['rpd', 'requests', 'day'],
  ['tpm', 'tokens', 'minute'],
  ['tph', 'tokens', 'hour'],
  ['tpd', 'tokens', 'day'],
]

/** `--rpm` to `--tpd` and `--concurrency`; where limits may be there already, `--no-rpm` and so on as well. */
export function addLimitOptions(command: Command, removable: boolean): Command {
  const amount = whole(1, mostLimit)
  for (const [name, unit, per] of refilling) command.option(`--${name} <n>`, rate(unit, per), amount)
  command.option('--concurrency <n>', 'requests at the same time', amount)
  if (removable) {
    for (const [name, unit, per] of refilling)
      command.addOption(new Option(`--no-${name}`, `no limit of ${rate(unit, per)}`).hideHelp())
    command.addOption(new Option('--no-concurrency', 'no limit of requests at the same time').hideHelp())
  }
  return command
}

/** The limits that there shall be: those there were, less or replaced by what the options say. Undefined: the same. */
export function limitsOf(
  options: LimitOptions,
  before: readonly RateLimitWire[] = [],
): RateLimitWire[] | undefined {
  const limits = new Map(before.map((limit) => [limitKind(limit), limit]))
  let changed = false
  const set = (wanted: number | false | undefined, of: (limit: number) => RateLimitWire) => {
    if (wanted === undefined) return
    changed = true
    if (wanted === false) limits.delete(limitKind(of(1)))
    else limits.set(limitKind(of(wanted)), of(wanted))
  }
  for (const [name, unit, per] of refilling) set(options[name], (limit) => ({ unit, per, limit }))
  set(options.concurrency, (limit) => ({ unit: 'concurrency', limit }))
  return changed ? [...limits.values()] : undefined
}

/** Limits in one cell: `60 requests a minute, 4 at the same time`. Null: there are none. */
export function describeLimits(limits: readonly RateLimitWire[]): string | null {
  if (limits.length === 0) return null
  return limits
    .map((limit) =>
      limit.unit === 'concurrency'
        ? `${limit.limit} at the same time`
        : `${limit.limit} ${rate(limit.unit, limit.per)}`,
    )
    .join(', ')
}

function rate(unit: 'requests' | 'tokens', per: LimitPeriod): string {
  return `${unit} ${per === 'hour' ? 'an' : 'a'} ${per}`
}
