import {
  type AddProviderKeyWire,
  type BudgetLimitWire,
  type ChangeProviderKeyWire,
  type ProviderKeyWire,
  type ProviderName,
  providerKeyPageWire,
  providerKeyTestWire,
  providerKeyWire,
  providerNames,
  removedProviderKeyWire,
} from '@latchkey/shared'
import { type Command, Option } from 'commander'
import { budgetSyntax, collectBudgets, describeBudgets } from './budget-option.ts'
import { counted } from './counted.ts'
import { everyPage } from './every-page.ts'
import { CommandFailure, exitCode } from './exit-code.ts'
import { addLimitOptions, describeLimits, type LimitOptions, limitsOf } from './limit-options.ts'
import { readSecret } from './secret-input.ts'
import { connect, type Surroundings } from './surroundings.ts'
import { table } from './table.ts'
import { relativeTime } from './times.ts'

interface AddOptions {
  readonly provider: ProviderName
  readonly baseUrl?: string
  readonly secretFile?: string
  readonly json?: true
}

interface SetOptions extends LimitOptions {
  readonly budget?: BudgetLimitWire[]
  readonly json?: true
}

/** `latchkey provider-keys …`: the secrets of providers, in the vault. */
export function addProviderKeyCommands(program: Command, surroundings: Surroundings): void {
  const { terminal, clock } = surroundings
  const group = program
    .command('provider-keys')
    .description('store, list, change, rotate, test and remove provider keys')

  group
    .command('add')
    .description('store a provider key; its secret comes from standard input, a file or a prompt')
    .argument('<name>', 'what you call it')
    .addOption(
      new Option('--provider <provider>', 'whose key it is').choices(providerNames).makeOptionMandatory(),
    )
    .option('--base-url <url>', 'where its API is, with the version path (default: the provider’s own)')
    .option('--secret-file <file>', 'read the secret from a file')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
Examples:
  echo "$OPENAI_API_KEY" | latchkey provider-keys add openai-main --provider openai
  latchkey provider-keys add local --provider openai-compatible --base-url http://127.0.0.1:11434/v1
  latchkey provider-keys add try --provider simulator     (no account and no secret needed)`,
    )
    .action(async (name: string, options: AddOptions) => {
      const client = connect(surroundings)
      const body: AddProviderKeyWire = {
        name,
        provider: options.provider,
        ...(options.baseUrl === undefined ? {} : { baseUrl: options.baseUrl }),
        ...(options.provider === 'simulator'
          ? {}
          : {
              secret: (await readSecret(`Secret of ${name}`, options.secretFile, terminal.streams)).reveal(),
            }),
      }
      const key = await client.call({
        method: 'POST',
        path: '/api/provider-keys',
        body,
        answer: providerKeyWire,
      })
      if (options.json) terminal.json(key)
      else terminal.line(`Stored ${key.name} (${key.provider}, ${key.baseUrl}) in the vault.`)
    })

  group
    .command('list')
    .description('list the provider keys; of their secrets, only the last characters')
    .option('--json', 'print one JSON document')
    .action(async (options: { readonly json?: true }) => {
      const client = connect(surroundings)
      const keys = await everyPage(client, '/api/provider-keys', {}, providerKeyPageWire)
      if (options.json) terminal.json(keys)
      else if (keys.length === 0)
        terminal.note('No provider keys yet. Store one with: latchkey provider-keys add')
      else terminal.line(listing(keys, clock.now()))
    })

  addLimitOptions(
    group
      .command('set')
      .description('set what may be spent on a provider key and sent with it, whoever’s request it is')
      .argument('<name>')
      .option(
        `--budget ${budgetSyntax}`,
        'dollars: 500, 20/day, 100/month; makes the budget of its period, or changes its limit',
        collectBudgets,
      ),
    true,
  )
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
--no-rpm, --no-rph, --no-rpd, --no-tpm, --no-tph, --no-tpd and --no-concurrency take a limit away.

Example:
  latchkey provider-keys set openai-main --budget 100/day --rpm 500`,
    )
    .action(async (name: string, options: SetOptions) => {
      const client = connect(surroundings)
      const path = pathOf(name)
      const before = await client.call({ method: 'GET', path, answer: providerKeyWire })
      const limits = limitsOf(options, before.limits)
      const body: ChangeProviderKeyWire = {
        ...(options.budget === undefined ? {} : { budgets: options.budget }),
        // Limits were put together from those that were read.
        ...(limits === undefined ? {} : { limits, revision: before.revision }),
      }
      if (Object.keys(body).length === 0)
        throw new CommandFailure(exitCode.usage, 'Say what shall change; --help lists what can.')
      const key = await client.call({ method: 'PATCH', path, body, answer: providerKeyWire })
      if (options.json) return terminal.json(key)
      const told = [describeBudgets(key.budgets) ?? 'no budget', describeLimits(key.limits) ?? 'no limits']
      terminal.line(`${key.name}: ${told.join('; ')}`)
    })

  group
    .command('rotate')
    .description('replace the secret of a provider key; no proxy key changes')
    .argument('<name>')
    .option('--secret-file <file>', 'read the new secret from a file')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  latchkey provider-keys rotate openai-main < new-key.txt')
    .action(async (name: string, options: { readonly secretFile?: string; readonly json?: true }) => {
      const client = connect(surroundings)
      const secret = await readSecret(`New secret of ${name}`, options.secretFile, terminal.streams)
      const key = await client.call({
        method: 'POST',
        path: `${pathOf(name)}/rotate`,
        body: { secret: secret.reveal() },
        answer: providerKeyWire,
      })
      if (options.json) terminal.json(key)
      else terminal.line(`${key.name} has its new secret. Proxy keys go on working as they are.`)
    })

  group
    .command('remove')
    .description('remove a provider key; refused while proxy keys are bound to it')
    .argument('<name>')
    .option('--revoke-keys', 'revoke the proxy keys that are bound to it')
    .option('--json', 'print one JSON document')
    .action(async (name: string, options: { readonly revokeKeys?: true; readonly json?: true }) => {
      const removed = await connect(surroundings).call({
        method: 'DELETE',
        path: pathOf(name),
        query: { revokeKeys: options.revokeKeys },
        answer: removedProviderKeyWire,
      })
      if (options.json) terminal.json(removed)
      else
        terminal.line(
          `Removed ${removed.name}, and revoked ${counted(removed.revokedKeys.length, 'proxy key')} with it.`,
        )
    })

  group
    .command('test')
    .description('send the provider one request that costs nothing, and say what became of it')
    .argument('<name>')
    .option('--json', 'print one JSON document')
    .action(async (name: string, options: { readonly json?: true }) => {
      const outcome = await connect(surroundings).call({
        method: 'POST',
        path: `${pathOf(name)}/test`,
        answer: providerKeyTestWire,
      })
      const accepted = outcome.kind === 'reachable' && outcome.status < 400
      if (!accepted) terminal.exitCode = exitCode.failure
      if (options.json) return terminal.json(outcome)
      if (outcome.kind === 'unreachable')
        return terminal.line(`${name}: ${outcome.message} (${outcome.code})`)
      const refused = outcome.status === 401 || outcome.status === 403
      const verdict = accepted
        ? 'the provider accepts the key'
        : refused
          ? 'the provider refuses the key'
          : 'the provider answers, but not with its list of models, so this says nothing of the key'
      terminal.line(`${name}: ${verdict} (status ${outcome.status}, ${Math.round(outcome.durationMs)} ms)`)
    })
}

function pathOf(name: string): string {
  return `/api/provider-keys/${encodeURIComponent(name)}`
}

function listing(keys: readonly ProviderKeyWire[], now: number): string {
  return table(
    [
      'name',
      'provider',
      'base url',
      'secret',
      'proxy keys',
      'budget',
      'limits',
      'created',
      'rotated',
      'last used',
    ],
    keys.map((key) => [
      key.name,
      key.provider,
      key.baseUrl,
      key.maskedTail === null ? null : `…${key.maskedTail}`,
      key.boundKeys,
      describeBudgets(key.budgets),
      describeLimits(key.limits),
      relativeTime(key.createdAt, now),
      relativeTime(key.rotatedAt, now),
      relativeTime(key.lastUsedAt, now),
    ]),
  )
}
