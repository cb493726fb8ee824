import {
  type BudgetLimitWire,
  budgetFits,
  type Clock,
  providerKeyPageWire,
  type StoredPolicy,
} from '@latchkey/shared'
import { type Command, Option } from 'commander'
import type { AdminClient } from './admin-client.ts'
import { budgetSyntax, collectBudgets } from './budget-option.ts'
import { everyPage } from './every-page.ts'
import { CommandFailure, exitCode } from './exit-code.ts'
import { addLimitOptions, type LimitOptions } from './limit-options.ts'
import { collect, collectOne, list, moment, whole } from './option-values.ts'

/** What may be said of a key on a command line; false: what was there is to go. */
export interface KeyOptions extends LimitOptions {
  readonly providerKey?: string[]
  readonly group?: string | false
  readonly models?: string[] | false
  readonly endpoints?: string[] | false
  readonly expires?: string | false
  readonly allowIp?: string[] | false
  readonly retries?: number
  readonly budget?: BudgetLimitWire[]
  readonly fit?: StoredPolicy['fit']
  readonly capture?: boolean
  readonly description?: string
  readonly tag?: string[]
}

/** Whether the options say what a key shall be, or what of it shall change. */
export type KeyOptionsUse = 'create' | 'change'

/** The options of every command that makes or changes keys. */
export function addKeyOptions(command: Command, clock: Clock, use: KeyOptionsUse): Command {
  const otherwise = (text: string) => (use === 'create' ? ` (default: ${text})` : '')
  command
    .option(
      '--provider-key <name>',
      `a provider key it uses; several (repeated, or with commas) are tried in this order${otherwise('the only one')}`,
      collect,
    )
    .option('--group <group>', 'the group whose budgets and limits it shares, by name or id')
    .option('--models <models>', `models it may use: names, or prefix*${otherwise('all')}`, list)
    .option(
      '--endpoints <paths>',
      `endpoints it may call: paths, or prefix*${otherwise('by the models')}`,
      list,
    )
    .option(
      '--expires <when>',
      `when it ends: 2026-12-06T18:00:00Z, or 30d, 12h from now${otherwise('never')}`,
      (text) => moment(text, clock.now()),
    )
    .option(
      '--allow-ip <blocks>',
      `addresses that may use it: 10.0.0.0/8,2001:db8::/32${otherwise('any')}`,
      collect,
    )
    .option('--retries <n>', 'how often to repeat a request that failed before its first byte', whole(0, 10))
    .option(
      `--budget ${budgetSyntax}`,
      'dollars it may spend: 4, 2.50/day, 20/month; once for each period',
      collectBudgets,
    )
  addLimitOptions(command, use === 'change')
  command
    .addOption(
      new Option(
        '--fit <how>',
        `where a budget can't pay for the output asked for${otherwise('refuse')}`,
      ).choices(budgetFits),
    )
    .option('--capture', `keep the bodies of its requests, sealed${otherwise('keep none')}`)
    .option('--description <text>', 'what it is for')
    .option('--tag <tag>', 'a tag; may be repeated', collectOne)
  if (use === 'change') {
    command
      .option('--no-capture', 'keep no more bodies; those that are kept stay')
      .option('--no-group', 'take it out of its group')
      .option('--no-models', 'let it use all models')
      .option('--no-endpoints', 'let it call what its models allow')
      .option('--no-expires', 'let it live on')
      .option('--no-allow-ip', 'let it be used from anywhere')
  }
  return command
}

/** What of `KeyOptions` goes to the admin API under the same meaning; false becomes null: none. */
export function wirePart(options: KeyOptions) {
  const {
    providerKey,
    group,
    models,
    endpoints,
    expires,
    allowIp,
    retries,
    budget,
    fit,
    capture,
    description,
    tag,
  } = options
  return {
    ...(providerKey === undefined ? {} : { providerKeys: providerKey }),
    ...(group === undefined ? {} : { group: orNull(group) }),
    ...(models === undefined ? {} : { models: orNull(models) }),
    ...(endpoints === undefined ? {} : { endpoints: orNull(endpoints) }),
    ...(expires === undefined ? {} : { expiresAt: orNull(expires) }),
    ...(allowIp === undefined ? {} : { allowIps: orNull(allowIp) }),
    ...(retries === undefined ? {} : { retries }),
    ...(budget === undefined ? {} : { budgets: budget }),
    ...(fit === undefined ? {} : { fit }),
    ...(capture === undefined ? {} : { capture }),
    ...(description === undefined ? {} : { description }),
    ...(tag === undefined ? {} : { tags: tag }),
  }
}

function orNull<Value>(value: Value | false): Value | null {
  return value === false ? null : value
}

/** The provider keys that were named, else the only one that there is. Throws `CommandFailure` where that can't be told. */
export async function providerKeysOf(
  client: AdminClient,
  { providerKey }: Pick<KeyOptions, 'providerKey'>,
): Promise<string[]> {
  if (providerKey !== undefined) return providerKey
  const keys = await everyPage(client, '/api/provider-keys', {}, providerKeyPageWire)
  const [only, second] = keys
  if (only === undefined)
    throw new CommandFailure(
      exitCode.failure,
      'No provider keys yet. Store one with: latchkey provider-keys add',
    )
  if (second === undefined) return [only.name]
  throw new CommandFailure(
    exitCode.usage,
    `Say which provider key with --provider-key: ${keys.map((key) => key.name).join(', ')}`,
  )
}
