import {
  type BudgetWire,
  budgetPageWire,
  budgetWire,
  type ChangeBudgetWire,
  isUuid,
  nanoUsd,
  parseUsd,
  releasedBudgetWire,
  removedBudgetWire,
} from '@latchkey/shared'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { AdminClient } from './admin-client.ts'
import { budgetFields, budgetName, budgetTable } from './budget-view.ts'
import { counted } from './counted.ts'
import { dollars } from './dollars.ts'
import { everyPage } from './every-page.ts'
import { CommandFailure, exitCode } from './exit-code.ts'
import { amount, percentages, signedAmount } from './option-values.ts'
import { connect, type Surroundings } from './surroundings.ts'
import { exactTime } from './times.ts'

interface JsonOption {
  readonly json?: true
}

const scopeNames = ['key', 'group', 'organization', 'provider-key'] as const
const whichBudget = 'its id, as `budgets list` shows it'

/** `latchkey budgets …`: what keys, groups, the organization and provider keys may spend. */
export function addBudgetCommands(program: Command, surroundings: Surroundings): void {
  const { terminal, clock } = surroundings
  const budgets = program
    .command('budgets')
    .description('list and show budgets; raise, lower, pause, resume, release and remove them')
    .addHelpText(
      'after',
      `
A budget is made by --budget of keys create, keys set, groups create, groups set, provider-keys set and
organization set.`,
    )

  budgets
    .command('list')
    .description('list the budgets, and what is left of each now')
    .addOption(new Option('--scope <kind>', 'only those of keys, groups, …').choices(scopeNames))
    .option('--json', 'print one JSON document')
    .action(async (options: { readonly scope?: (typeof scopeNames)[number]; readonly json?: true }) => {
      const scope = options.scope?.replace('-', '_')
      const listed = await everyPage(connect(surroundings), '/api/budgets', { scope }, budgetPageWire)
      if (options.json) terminal.json(listed)
      else if (listed.length === 0) terminal.note('No budgets. Make one with: latchkey keys set --budget')
      else terminal.line(budgetTable(listed, clock.now()))
    })

  budgets
    .command('show')
    .description('show one budget with all its figures')
    .argument('<budget>', whichBudget, budgetId)
    .option('--json', 'print one JSON document')
    .action(async (id: string, options: JsonOption) => {
      const budget = await show(connect(surroundings), id)
      if (options.json) terminal.json(budget)
      else terminal.line(budgetFields(budget, clock.now()))
    })

  budgets
    .command('raise')
    .description('change the limit of a budget, at once and for the windows to come')
    .argument('<budget>', whichBudget, budgetId)
    .addOption(new Option('--to <amount>', 'the new limit, in dollars').argParser(amount).conflicts('by'))
    .option('--by <amount>', 'so many dollars more; with a minus sign, less', signedAmount)
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
A limit that is lowered below what is spent refuses requests from then on.

Examples:
  latchkey budgets raise 01920000-0000-7000-8000-000000000000 --to 20
  latchkey budgets raise 01920000-0000-7000-8000-000000000000 --by 2.50`,
    )
    .action(async (id: string, options: { readonly to?: string; readonly by?: string } & JsonOption) => {
      if (options.to === undefined && options.by === undefined)
        throw new CommandFailure(exitCode.usage, 'Say --to how much, or --by how much.')
      const client = connect(surroundings)
      const before = await show(client, id)
      const after = await change(client, id, {
        ...(options.to === undefined ? {} : { limitUsd: options.to }),
        ...(options.by === undefined ? {} : { addUsd: options.by }),
        // So that the note below compares with what this change came upon, and not with a third.
        revision: before.revision,
      })
      if (nano(after.limitUsd) < nano(before.limitUsd))
        terminal.note(
          `This lowers the limit from ${dollars(before.limitUsd)}. What is spent stays spent; what is in flight may still be.`,
        )
      if (options.json) return terminal.json(after)
      terminal.line(
        `The limit of ${budgetName(after)} is ${dollars(after.limitUsd)}, of which ${dollars(after.remainingUsd)} is left.`,
      )
    })

  budgets
    .command('set')
    .description('change which thresholds of a budget are noted when they are crossed')
    .argument('<budget>', whichBudget, budgetId)
    .requiredOption(
      '--thresholds <percentages>',
      'percentages of the limit, with commas: 50,80,100',
      percentages,
    )
    .option('--json', 'print one JSON document')
    .action(async (id: string, options: { readonly thresholds: number[] } & JsonOption) => {
      const after = await change(connect(surroundings), id, { thresholds: options.thresholds })
      if (options.json) terminal.json(after)
      else terminal.line(budgetFields(after, clock.now()))
    })

  const switches = [
    ['pause', 'refuse every request that a budget would pay for', 'paused', 'Paused'],
    ['resume', 'let a paused budget pay again', 'active', 'Resumed'],
  ] as const
  for (const [name, description, status, done] of switches) {
    budgets
      .command(name)
      .description(description)
      .argument('<budget>', whichBudget, budgetId)
      .option('--json', 'print one JSON document')
      .action(async (id: string, options: JsonOption) => {
        const after = await change(connect(surroundings), id, { status })
        if (options.json) terminal.json(after)
        else terminal.line(`${done} ${budgetName(after)}.`)
      })
  }

  budgets
    .command('release')
    .description(
      'give back what processes left unsettled when they died, once no request of theirs can still run',
    )
    .argument('<budget>', whichBudget, budgetId)
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
What is unsettled was held when a process was killed: it may have been spent. Compare with the provider's own
figures before you release it.`,
    )
    .action(async (id: string, options: JsonOption) => {
      const released = await connect(surroundings).call({
        method: 'POST',
        path: `/api/budgets/${id}/release`,
        answer: releasedBudgetWire,
      })
      if (options.json) return terminal.json(released)
      const { budget, leases, releasedUsd, waitingUsd, releasableAt } = released
      terminal.line(
        leases === 0
          ? `There was nothing to release of ${budgetName(budget)}.`
          : `Released ${dollars(releasedUsd)} (${counted(leases, 'lease')}) of ${budgetName(budget)}.`,
      )
      if (releasableAt !== null)
        terminal.line(
          `${dollars(waitingUsd)} can be released from ${exactTime(releasableAt, clock.now())} on.`,
        )
    })

  budgets
    .command('remove')
    .description(
      'take a budget away: its scope may then spend what its other budgets allow, or without limit',
    )
    .argument('<budget>', whichBudget, budgetId)
    .option('--yes', 'do it')
    .option('--json', 'print one JSON document')
    .action(async (id: string, options: { readonly yes?: true } & JsonOption) => {
      const client = connect(surroundings)
      const budget = await show(client, id)
      if (!options.yes)
        throw new CommandFailure(
          exitCode.usage,
          `This takes ${budgetName(budget)} away (limit ${dollars(budget.limitUsd)}). Add --yes to do it.`,
        )
      const removed = await client.call({
        method: 'DELETE',
        path: `/api/budgets/${id}`,
        query: { confirm: true },
        answer: removedBudgetWire,
      })
      if (options.json) terminal.json(removed)
      else terminal.line(`Removed ${budgetName(budget)}.`)
    })
}

function show(client: AdminClient, id: string): Promise<BudgetWire> {
  return client.call({ method: 'GET', path: `/api/budgets/${id}`, answer: budgetWire })
}

function change(client: AdminClient, id: string, body: ChangeBudgetWire): Promise<BudgetWire> {
  return client.call({ method: 'PATCH', path: `/api/budgets/${id}`, body, answer: budgetWire })
}

/** An id is a step of a path: nothing else may stand there. */
function budgetId(text: string): string {
  if (isUuid(text)) return text
  throw new InvalidArgumentError('It must be the id of a budget; `latchkey budgets list` shows them.')
}

function nano(usd: string): bigint {
  return parseUsd(usd) ?? nanoUsd(0n)
}
