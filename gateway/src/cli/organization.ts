import { type BudgetLimitWire, type OrganizationWire, organizationWire } from '@latchkey/shared'
import type { Command } from 'commander'
import { budgetSyntax, collectBudgets, describeBudgets } from './budget-option.ts'
import { connect, type Surroundings } from './surroundings.ts'
import { fields } from './table.ts'
import { exactTime } from './times.ts'

const path = '/api/organization'

/** `latchkey organization …`: whom all of this belongs to. */
export function addOrganizationCommands(program: Command, surroundings: Surroundings): void {
  const { terminal, clock } = surroundings
  const organization = program
    .command('organization')
    .description('show the organization, and set what all of its keys may spend together')
  const print = (shown: OrganizationWire, json: true | undefined) =>
    json ? terminal.json(shown) : terminal.line(organizationFields(shown, clock.now()))

  organization
    .command('show')
    .description('show the organization, and what is left of its budgets')
    .option('--json', 'print one JSON document')
    .action(async (options: { readonly json?: true }) => {
      print(await connect(surroundings).call({ method: 'GET', path, answer: organizationWire }), options.json)
    })

  organization
    .command('set')
    .description('set what all keys may spend together')
    .requiredOption(
      `--budget ${budgetSyntax}`,
      'dollars: 500, 20/day, 100/month; makes the budget of its period, or changes its limit',
      collectBudgets,
    )
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  latchkey organization set --budget 500/month --budget 50/day')
    .action(async (options: { readonly budget: BudgetLimitWire[]; readonly json?: true }) => {
      const body = { budgets: options.budget }
      const client = connect(surroundings)
      print(await client.call({ method: 'PATCH', path, body, answer: organizationWire }), options.json)
    })
}

function organizationFields(organization: OrganizationWire, now: number): string {
  return fields([
    ['id', organization.id],
    ['name', organization.name],
    ['budgets', describeBudgets(organization.budgets) ?? 'none'],
    ['created', exactTime(organization.createdAt, now)],
  ])
}
