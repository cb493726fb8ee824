import {
  type BudgetLimitWire,
  type ChangeGroupWire,
  type CreateGroupWire,
  type GroupWire,
  groupPageWire,
  groupWire,
} from '@latchkey/shared'
import type { Command } from 'commander'
import { budgetSyntax, collectBudgets, describeBudgets } from './budget-option.ts'
import { everyPage } from './every-page.ts'
import { CommandFailure, exitCode } from './exit-code.ts'
import { findGroup } from './find-group.ts'
import { addLimitOptions, describeLimits, type LimitOptions, limitsOf } from './limit-options.ts'
import { type RevokeAllOptions, revokeAll } from './revoke-all.ts'
import { connect, type Surroundings } from './surroundings.ts'
import { fields, table } from './table.ts'
import { exactTime, relativeTime } from './times.ts'

interface GroupOptions extends LimitOptions {
  readonly name?: string
  readonly description?: string
  readonly budget?: BudgetLimitWire[]
  readonly capture?: boolean
  readonly json?: true
}

interface JsonOption {
  readonly json?: true
}

const whichGroup = 'the name or the id of a group'
const budgetHelp = 'dollars all its keys may spend together: 500, 20/day, 100/month; once for each period'

/** `latchkey groups …`: proxy keys that share budgets and limits. */
export function addGroupCommands(program: Command, surroundings: Surroundings): void {
  const { terminal, clock } = surroundings
  const groups = program
    .command('groups')
    .description('create, list, show, change, pause and resume groups of proxy keys; revoke all keys of one')

  addLimitOptions(
    groups
      .command('create')
      .description('make a group of keys: a department, a team, a client, an event')
      .argument('<name>', 'what you call it')
      .option(`--budget ${budgetSyntax}`, budgetHelp, collectBudgets)
      .option('--capture', 'keep the bodies of its keys’ requests, sealed (default: keep none)')
      .option('--description <text>', 'what it is for'),
    false,
  )
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
Examples:
  latchkey groups create research --budget 500/month --rpm 600
  latchkey groups create hack-2026 --budget 1200`,
    )
    .action(async (name: string, options: GroupOptions) => {
      const body: CreateGroupWire = {
        name,
        ...(options.description === undefined ? {} : { description: options.description }),
        limits: limitsOf(options) ?? [],
        ...(options.capture === undefined ? {} : { capture: options.capture }),
        budgets: options.budget ?? [],
      }
      const group = await connect(surroundings).call({
        method: 'POST',
        path: '/api/groups',
        body,
        answer: groupWire,
      })
      if (options.json) return terminal.json(group)
      terminal.line(
        `Created ${group.name} (${group.id}). Put keys into it with: latchkey keys create NAME --group ${group.name}`,
      )
    })

  groups
    .command('list')
    .description('list the groups by name')
    .option('--json', 'print one JSON document')
    .action(async (options: JsonOption) => {
      const listed = await everyPage(connect(surroundings), '/api/groups', {}, groupPageWire)
      if (options.json) terminal.json(listed)
      else if (listed.length === 0) terminal.note('No groups yet. Make one with: latchkey groups create')
      else terminal.line(groupTable(listed, clock.now()))
    })

  groups
    .command('show')
    .description('show a group, and what is left of its budgets')
    .argument('<group>', whichGroup)
    .option('--json', 'print one JSON document')
    .action(async (which: string, options: JsonOption) => {
      const group = await findGroup(connect(surroundings), which)
      if (options.json) terminal.json(group)
      else terminal.line(groupFields(group, clock.now()))
    })

  addLimitOptions(
    groups
      .command('set')
      .description('change a group; what is not named stays')
      .argument('<group>', whichGroup)
      .option('--name <name>', 'what you call it')
      .option(`--budget ${budgetSyntax}`, budgetHelp, collectBudgets)
      .option('--capture', 'keep the bodies of its keys’ requests, sealed')
      .option('--no-capture', 'keep no more bodies; those that are kept stay')
      .option('--description <text>', 'what it is for'),
    true,
  )
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
--no-rpm, --no-rph, --no-rpd, --no-tpm, --no-tph, --no-tpd and --no-concurrency take a limit away. --budget makes
the budget of its period, or changes its limit.

Example:
  latchkey groups set research --budget 800/month --no-rpm`,
    )
    .action(async (which: string, options: GroupOptions) => {
      const client = connect(surroundings)
      const before = await findGroup(client, which)
      const limits = limitsOf(options, before.limits)
      const change: ChangeGroupWire = {
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(options.description === undefined ? {} : { description: options.description }),
        ...(options.budget === undefined ? {} : { budgets: options.budget }),
        ...(options.capture === undefined ? {} : { capture: options.capture }),
        // Limits were put together from those that were read.
        ...(limits === undefined ? {} : { limits, revision: before.revision }),
      }
      if (Object.keys(change).length === 0)
        throw new CommandFailure(exitCode.usage, 'Say what shall change; --help lists what can.')
      const group = await client.call({
        method: 'PATCH',
        path: `/api/groups/${before.id}`,
        body: change,
        answer: groupWire,
      })
      if (options.json) terminal.json(group)
      else terminal.line(groupFields(group, clock.now()))
    })

  const changes = [
    ['pause', 'refuse the requests of all keys of a group until it is resumed', 'Paused'],
    ['resume', 'let the keys of a paused group work again', 'Resumed'],
  ] as const
  for (const [change, description, done] of changes) {
    groups
      .command(change)
      .description(description)
      .argument('<group>', whichGroup)
      .option('--json', 'print one JSON document')
      .action(async (which: string, options: JsonOption) => {
        const client = connect(surroundings)
        const { id } = await findGroup(client, which)
        const group = await client.call({
          method: 'POST',
          path: `/api/groups/${id}/${change}`,
          answer: groupWire,
        })
        if (options.json) terminal.json(group)
        else terminal.line(`${done} ${group.name}.`)
      })
  }

  groups
    .command('revoke-all')
    .description('end every key of a group for good; the group stays')
    .argument('<group>', whichGroup)
    .option('--yes', 'do it')
    .option('--json', 'print one JSON document')
    .action((which: string, options: RevokeAllOptions) => revokeAll(surroundings, which, options))
}

function groupTable(groups: readonly GroupWire[], now: number): string {
  return table(
    ['name', 'status', 'keys', 'budget', 'limits', 'created'],
    groups.map((group) => [
      group.name,
      group.status,
      group.keys,
      describeBudgets(group.budgets),
      describeLimits(group.limits),
      relativeTime(group.createdAt, now),
    ]),
  )
}

function groupFields(group: GroupWire, now: number): string {
  return fields([
    ['id', group.id],
    ['name', group.name],
    ['description', group.description],
    ['status', group.status],
    ['keys', String(group.keys)],
    ['budgets', describeBudgets(group.budgets) ?? 'none'],
    ['limits', describeLimits(group.limits) ?? 'none'],
    ['bodies', group.capture ? 'kept, sealed' : 'not kept'],
    ['created', exactTime(group.createdAt, now)],
  ])
}
