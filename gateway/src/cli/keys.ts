import {
  type CreateProxyKeyWire,
  mintedProxyKeyWire,
  type ProxyKeyWire,
  proxyKeyPageWire,
  proxyKeyWire,
  statusWire,
} from '@latchkey/shared'
import type { Command } from 'commander'
import type { AdminClient } from './admin-client.ts'
import { everyPage } from './every-page.ts'
import { findKey } from './find-key.ts'
import { collect, collectOne, durationSeconds, list, moment, whole } from './option-values.ts'
import { connect, type Surroundings } from './surroundings.ts'
import { fields, table } from './table.ts'
import { exactTime, relativeTime } from './times.ts'

interface CreateOptions {
  readonly providerKey: readonly string[]
  readonly models?: string[]
  readonly endpoints?: string[]
  readonly expires?: string
  readonly allowIp?: string[]
  readonly retries?: number
  readonly description?: string
  readonly tag?: string[]
  readonly json?: true
}

interface JsonOption {
  readonly json?: true
}

const whichKey = 'the id of a key, or its name if no other key has it'

/** `latchkey keys …`: the proxy keys that people and applications are given. */
export function addKeyCommands(program: Command, surroundings: Surroundings): void {
  const { terminal, clock } = surroundings
  const group = program
    .command('keys')
    .description('create, list, show, rotate, pause, resume and revoke proxy keys')

  group
    .command('create')
    .description('mint a proxy key; it is shown this once')
    .argument('<name>', 'whose key it is')
    .requiredOption(
      '--provider-key <name>',
      'the provider key it uses; several (repeated, or with commas) are tried in this order',
      collect,
    )
    .option('--models <models>', 'models it may use: names, or prefix* (default: all)', list)
    .option('--endpoints <paths>', 'endpoints it may call: paths, or prefix* (default: by the models)', list)
    .option(
      '--expires <when>',
      'when it ends: 2026-12-06T18:00:00Z, or 30d, 12h from now (default: never)',
      (text) => moment(text, clock.now()),
    )
    .option(
      '--allow-ip <blocks>',
      'addresses that may use it: 10.0.0.0/8,2001:db8::/32 (default: any)',
      collect,
    )
    .option('--retries <n>', 'how often to repeat a request that failed before its first byte', whole(0, 10))
    .option('--description <text>', 'what it is for')
    .option('--tag <tag>', 'a tag; may be repeated', collectOne)
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
Examples:
  latchkey keys create alice --provider-key openai-main
  latchkey keys create team-a --provider-key openai-main --models 'gpt-5-nano,gpt-4o*' --expires 30d
  latchkey keys create ci --provider-key openai-main --provider-key spare --allow-ip 10.0.0.0/8 --json`,
    )
    .action(async (name: string, options: CreateOptions) => {
      const client = connect(surroundings)
      const body: CreateProxyKeyWire = {
        name,
        providerKeys: [...options.providerKey],
        models: options.models ?? null,
        endpoints: options.endpoints ?? null,
        allowIps: options.allowIp ?? null,
        expiresAt: options.expires ?? null,
        ...(options.retries === undefined ? {} : { retries: options.retries }),
        ...(options.description === undefined ? {} : { description: options.description }),
        ...(options.tag === undefined ? {} : { tags: options.tag }),
      }
      const key = await client.call({ method: 'POST', path: '/api/keys', body, answer: mintedProxyKeyWire })
      if (key.status === 'expired') terminal.note('This key has expired already: --expires lies in the past.')
      if (options.json) return terminal.json(key)
      terminal.line(`Created ${key.name} (${key.id}). Its key is shown this once:`)
      terminal.line()
      terminal.line(await howToUse(client, key.key))
    })

  group
    .command('list')
    .description('list the proxy keys, newest first')
    .option('--json', 'print one JSON document')
    .action(async (options: JsonOption) => {
      const keys = await everyPage(connect(surroundings), '/api/keys', {}, proxyKeyPageWire)
      if (options.json) terminal.json(keys)
      else if (keys.length === 0) terminal.note('No proxy keys yet. Mint one with: latchkey keys create')
      else terminal.line(listing(keys, clock.now()))
    })

  group
    .command('show')
    .description('show what a key may do')
    .argument('<key>', whichKey)
    .option('--json', 'print one JSON document')
    .action(async (text: string, options: JsonOption) => {
      const key = await findKey(connect(surroundings), text)
      if (options.json) terminal.json(key)
      else terminal.line(details(key, clock.now()))
    })

  group
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
    ['revoke', 'end a key for good; a whole token is taken too, and only its id is used', 'Revoked'],
  ] as const
  for (const [change, description, done] of changes) {
    group
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
}

/** The three lines that point an SDK at the gateway, whatever its language. */
async function howToUse(client: AdminClient, token: string): Promise<string> {
  const { dataUrl } = await client.call({ method: 'GET', path: '/api/status', answer: statusWire })
  return [
    `  export OPENAI_BASE_URL=${dataUrl}/v1`,
    `  export OPENAI_API_KEY=${token}`,
    '  curl "$OPENAI_BASE_URL/models" -H "Authorization: Bearer $OPENAI_API_KEY"',
  ].join('\n')
}

function listing(keys: readonly ProxyKeyWire[], now: number): string {
  return table(
    ['id', 'name', 'status', 'provider keys', 'models', 'expires', 'created', 'last used'],
    keys.map((key) => [
      key.id,
      key.name,
      key.status,
      key.providerKeys.join(', '),
      key.models === null ? 'all' : key.models.join(', '),
      key.expiresAt === null ? 'never' : relativeTime(key.expiresAt, now),
      relativeTime(key.createdAt, now),
      relativeTime(key.lastUsedAt, now),
    ]),
  )
}

function details(key: ProxyKeyWire, now: number): string {
  return fields([
    ['id', key.id],
    ['name', key.name],
    ['description', key.description],
    ['tags', key.tags.join(', ')],
    ['status', key.status],
    ['provider keys', key.providerKeys.join(', ')],
    ['models', key.models?.join(', ') ?? 'all'],
    ['endpoints', key.endpoints?.join(', ') ?? 'by the models'],
    ['addresses', key.allowIps?.join(', ') ?? 'any'],
    ['retries', String(key.retries)],
    ['expires', key.expiresAt === null ? 'never' : exactTime(key.expiresAt, now)],
    ['created', exactTime(key.createdAt, now)],
    ['rotated', exactTime(key.rotatedAt, now)],
    ['old secret until', exactTime(key.previousExpiresAt, now)],
    ['revoked', exactTime(key.revokedAt, now)],
    ['last used', exactTime(key.lastUsedAt, now)],
  ])
}
