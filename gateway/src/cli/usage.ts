import {
  type UsageDimension,
  type UsageSumsWire,
  type UsageWire,
  usageDimensions,
  usageRowsMost,
  usageWire,
} from '@latchkey/shared'
import { type Command, Option } from 'commander'
import { counted } from './counted.ts'
import { dollars } from './dollars.ts'
import { findGroup } from './find-group.ts'
import { findKey } from './find-key.ts'
import { pastMoment, whole } from './option-values.ts'
import { connect, type Surroundings } from './surroundings.ts'
import { type Cell, table } from './table.ts'

interface UsageOptions {
  readonly by: UsageDimension
  readonly from?: string
  readonly to?: string
  readonly key?: string
  readonly group?: string
  readonly limit: number
  readonly json?: true
}

/** `latchkey usage`: who used how much, and what it cost. */
export function addUsageCommand(program: Command, surroundings: Surroundings): void {
  const { terminal, clock } = surroundings
  const moment = (text: string) => pastMoment(text, clock.now())
  program
    .command('usage')
    .description('sum up requests, tokens and costs by key, group, model or day')
    .addOption(new Option('--by <what>', 'what to sum by').choices(usageDimensions).makeOptionMandatory())
    .option(
      '--from <when>',
      'requests from 2026-11-01 (UTC), a time, or 7d ago on (default: 30 days ago)',
      moment,
    )
    .option('--to <when>', 'requests before then (default: now)', moment)
    .option('--key <key>', 'only those of one proxy key (its id, or its name if no other key has it)')
    .option('--group <group>', 'only those of keys that were in this group')
    .option('--limit <n>', 'how many rows', whole(1, usageRowsMost), 100)
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
Examples:
  latchkey usage --by key --from 2026-11-01
  latchkey usage --by day --group research --json
  latchkey usage --by model --key alice --from 24h`,
    )
    .action(async (options: UsageOptions) => {
      const client = connect(surroundings)
      const usage = await client.call({
        method: 'GET',
        path: '/api/usage',
        query: {
          by: options.by,
          from: options.from,
          to: options.to,
          key: options.key === undefined ? undefined : (await findKey(client, options.key)).id,
          group: options.group === undefined ? undefined : (await findGroup(client, options.group)).id,
          limit: options.limit,
        },
        answer: usageWire,
      })
      if (options.json) return terminal.json(usage)
      terminal.line(usageTable(usage))
      terminal.note(`Requests that began from ${usage.from} to ${usage.to}.`)
      if (usage.leftOut > 0)
        terminal.note(`${counted(usage.leftOut, 'more row')} beyond --limit; the total counts them too.`)
      if (usage.total.unpriced > 0)
        terminal.note(
          `${counted(usage.total.unpriced, 'request')} had no price, and the costs lack theirs. See: latchkey prices`,
        )
    })
}

function usageTable({ by, data, total }: UsageWire): string {
  // Names of keys need not be unique.
  const labels = by === 'key' ? ['id', 'key'] : [by]
  return table(
    [...labels, 'requests', 'refused', 'tokens in', 'of it cached', 'tokens out', 'cost', 'of it estimated'],
    [
      ...data.map((row) => [
        ...(by === 'key' ? [row.id, row.name] : [row.name ?? row.id ?? `no ${by}`]),
        ...cells(row),
      ]),
      [...(by === 'key' ? ['total', null] : ['total']), ...cells(total)],
    ],
  )
}

function cells(sums: UsageSumsWire): readonly Cell[] {
  return [
    sums.requests,
    sums.refused,
    sums.inputTokens,
    sums.cachedInputTokens,
    sums.outputTokens,
    dollars(sums.costUsd),
    dollars(sums.estimatedUsd),
  ]
}
