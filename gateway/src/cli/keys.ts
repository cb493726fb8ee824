import {
  type ChangeProxyKeyWire,
  type CreateProxyKeyWire,
  mintedProxyKeyWire,
  proxyKeyPageWire,
  proxyKeyWire,
} from '@latchkey/shared'
import type { Command } from 'commander'
import { addBulkCommand } from './bulk.ts'
import { everyPage } from './every-page.ts'
import { CommandFailure, exitCode } from './exit-code.ts'
import { findKey } from './find-key.ts'
import { addKeyOptions, type KeyOptions, providerKeysOf, wirePart } from './key-options.ts'
import { howToUse, keyFields, keyTable } from './key-view.ts'
import { limitsOf } from './limit-options.ts'
import { durationSeconds } from './option-values.ts'
import { type RevokeAllOptions, revokeAll } from './revoke-all.ts'
import { connect, type Surroundings } from './surroundings.ts'
import { exactTime } from './times.ts'

interface JsonOption {
  readonly json?: true
}

interface CreateOptions extends KeyOptions, JsonOption {
  readonly email?: string
}

interface SetOptions extends KeyOptions, JsonOption {
  readonly name?: string
  readonly email?: string | false
}

interface RevokeOptions extends JsonOption {
  readonly compromised?: true
}

const whichKey = 'the id of a key, or its name if no other key has it'

/** `latchkey keys …`: the proxy keys that people and applications are given. */
export function addKeyCommands(program: Command, surroundings: Surroundings): void {
  const { terminal, clock } = surroundings
  const keys = program
    .command('keys')
    .description(
      'create (one, or many from a file), list, show, change, rotate, pause, resume and revoke proxy keys',
    )

  addKeyOptions(
    keys
      .command('create')
      .description('mint a proxy key; it is shown this once')
      .argument('<name>', 'whose key it is')
      .option('--email <address>', 'whom it is for'),
    clock,
    'create',
  )
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
Examples:
  latchkey keys create alice --budget 4
  latchkey keys create team-a --group research --models 'gpt-5-nano,gpt-4o*' --expires 30d --rpm 60
  latchkey keys create ci --provider-key openai-main --provider-key spare --budget 2/day --budget 20/month --json`,
    )
    .action(async (name: string, options: CreateOptions) => {
      const client = connect(surroundings)
      const body: CreateProxyKeyWire = {
        ...wirePart(options),
        name,
        providerKeys: await providerKeysOf(client, options),
        email: options.email ?? null,
        limits: limitsOf(options) ?? [],
      }
      const key = await client.call({ method: 'POST', path: '/api/keys', body, answer: mintedProxyKeyWire })
      if (key.status === 'expired') terminal.note('This key has expired already: --expires lies in the past.')
      if (options.json) return terminal.json(key)
      terminal.line(`Created ${key.name} (${key.id}). Its key is shown this once:`)
      terminal.line()
      terminal.line(await howToUse(client, key.key))
    })

  addBulkCommand(keys, surroundings)

  keys
    .command('list')
    .description('list the proxy keys, newest first')
    .option('--group <group>', 'only those of one group')
    .option('--json', 'print one JSON document')
    .action(async (options: JsonOption & { readonly group?: string }) => {
      const { group } = options
      const listed = await everyPage(connect(surroundings), '/api/keys', { group }, proxyKeyPageWire)
      if (options.json) terminal.json(listed)
      else if (listed.length === 0) terminal.note('No proxy keys yet. Mint one with: latchkey keys create')
      else terminal.line(keyTable(listed, clock.now()))
    })

  keys
    .command('show')
    .description('show what a key may do, and what is left of its budgets')
    .argument('<key>', whichKey)
    .option('--json', 'print one JSON document')
    .action(async (text: string, options: JsonOption) => {
      const key = await findKey(connect(surroundings), text)
      if (options.json) terminal.json(key)
      else terminal.line(keyFields(key, clock.now()))
    })

  addKeyOptions(
    keys
      .command('set')
      .description('change what a key may do; what is not named stays')
      .argument('<key>', whichKey)
      .option('--name <name>', 'whose key it is')
      .option('--email <address>', 'whom it is for')
      .option('--no-email', 'nobody in particular'),
    clock,
    'change',
  )
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
--no-rpm, --no-rph, --no-rpd, --no-tpm, --no-tph, --no-tpd and --no-concurrency take a limit away. --budget makes
the budget of its period, or changes its limit.

Examples:
  latchkey keys set alice --budget 6 --expires 30d
  latchkey keys set alice --group research --rpm 60 --no-tpm`,
    )
    .action(async (text: string, options: SetOptions) => {
      const client = connect(surroundings)
      const before = await findKey(client, text)
      const limits = limitsOf(options, before.limits)
      const change: ChangeProxyKeyWire = {
        ...wirePart(options),
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(options.email === undefined ? {} : { email: options.email === false ? null : options.email }),
        ...(limits === undefined ? {} : { limits }),
      }
      if (Object.keys(change).length === 0)
        throw new CommandFailure(exitCode.usage, 'Say what shall change; --help lists what can.')
      const key = await client.call({
        method: 'PATCH',
        path: `/api/keys/${before.id}`,
        // Limits were put together from those that were read.
        body: { ...change, ...(limits === undefined ? {} : { revision: before.revision }) },
        answer: proxyKeyWire,
      })
      if (options.json) terminal.json(key)
      else terminal.line(keyFields(key, clock.now()))
    })

  keys
    .command('rotate')
    .description('give a key a new secret; the old one lives on for a grace')
    .argument('<key>', whichKey)
    .option('--grace <duration>', 'for how long the old secret works: 24h, 30m, 0', durationSeconds)
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  latchkey keys rotate alice --grace 0')
    .action(async (text: string, options: { readonly grace?: number; readonly json?: true }) => {
      const client = connect(surroundings)
      const { id, revision } = await findKey(client, text)
      const key = await client.call({
        method: 'POST',
        path: `/api/keys/${id}/rotate`,
        // Of two who rotate at once, the second would end the secret that the first was just given.
        body: { revision, ...(options.grace === undefined ? {} : { graceSeconds: options.grace }) },
        answer: mintedProxyKeyWire,
      })
      if (options.json) return terminal.json(key)
      const old =
        key.previousExpiresAt === null
          ? 'no longer works'
          : `works until ${exactTime(key.previousExpiresAt, clock.now())}`
      terminal.line(`Rotated ${key.name} (${key.id}). The old secret ${old}. The new one is shown this once:`)
      terminal.line()
      terminal.line(await howToUse(client, key.key))
    })

  const changes = [
    ['pause', 'refuse the requests of a key until it is resumed', 'Paused'],
    ['resume', 'let a paused key work again', 'Resumed'],
  ] as const
  for (const [change, description, done] of changes) {
    keys
      .command(change)
      .description(description)
      .argument('<key>', whichKey)
      .option('--json', 'print one JSON document')
      .action(async (text: string, options: JsonOption) => {
        const client = connect(surroundings)
        const { id } = await findKey(client, text)
        const key = await client.call({
          method: 'POST',
          path: `/api/keys/${id}/${change}`,
          answer: proxyKeyWire,
        })
        if (options.json) terminal.json(key)
        else terminal.line(`${done} ${key.name} (${key.id}).`)
      })
  }

  keys
    .command('revoke')
    .description('end a key for good; a whole token is taken too, and only its id is used')
    .argument('<key>', whichKey)
    .option('--compromised', 'somebody else may have it: end its running requests as well, in every process')
    .option('--json', 'print one JSON document')
    .action(async (text: string, options: RevokeOptions) => {
      const client = connect(surroundings)
      const { id } = await findKey(client, text)
      const key = await client.call({
        method: 'POST',
        path: `/api/keys/${id}/revoke`,
        body: options.compromised ? { reason: 'compromised' } : {},
        answer: proxyKeyWire,
      })
      if (options.json) terminal.json(key)
      else terminal.line(`Revoked ${key.name} (${key.id}).`)
    })

  keys
    .command('revoke-all')
    .description('end every key for good, or every key of a group: the emergency button')
    .option('--group <group>', 'only those of one group')
    .option('--yes', 'do it')
    .option('--json', 'print one JSON document')
    .action((options: RevokeAllOptions & { readonly group?: string }) =>
      revokeAll(surroundings, options.group, options),
    )
}
