import {
  keyringRotationWire,
  type RingPurpose,
  ringPurposes,
  rootRotationWire,
  type VaultStatusWire,
  type VaultVerifyWire,
  vaultStatusWire,
  vaultVerifyWire,
} from '@latchkey/shared'
import { type Command, Option } from 'commander'
import type { AdminClient } from './admin-client.ts'
import { counted } from './counted.ts'
import { CommandFailure, exitCode } from './exit-code.ts'
import { readSecret } from './secret-input.ts'
import { connect, type Surroundings } from './surroundings.ts'
import { fields, table } from './table.ts'
import type { Terminal } from './terminal.ts'

interface JsonOption {
  readonly json?: true
}

interface RotateOptions extends JsonOption {
  readonly root?: true
  readonly keyring?: true
  readonly purpose?: RingPurpose
}

/** `latchkey vault …`: the keys that seal everything else. */
export function addVaultCommands(program: Command, surroundings: Surroundings): void {
  const { terminal } = surroundings
  const group = program.command('vault').description('look at the vault, verify, rotate, seal and unseal it')

  group
    .command('status')
    .description('show whether the vault is sealed, and its keys without their bytes')
    .option('--json', 'print one JSON document')
    .action(async (options: JsonOption) => {
      const status = await readStatus(connect(surroundings))
      if (options.json) terminal.json(status)
      else terminal.line(overview(status))
    })

  group
    .command('verify')
    .description('open every sealed row; ends with 1 if any is damaged')
    .option('--json', 'print one JSON document')
    .action(async (options: JsonOption) => {
      const verifying = connect(surroundings).call({
        method: 'POST',
        path: '/api/vault/verify',
        answer: vaultVerifyWire,
      })
      const report = await terminal.during('Opening every sealed row', verifying)
      if (report.damaged.length > 0) terminal.exitCode = exitCode.failure
      if (options.json) terminal.json(report)
      else terminal.line(verdict(report))
    })

  group
    .command('rotate')
    .description('replace the root key, or the data keys that it wraps')
    .addOption(new Option('--root', 'a new root key; no sealed row is touched').conflicts('keyring'))
    .addOption(new Option('--keyring', 'new data keys; every sealed row is sealed anew'))
    .addOption(
      new Option('--purpose <purpose>', 'with --keyring: only the data key of this purpose').choices(
        ringPurposes,
      ),
    )
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
Where the root key is a file, the new one replaces it. Where it is a passphrase or LATCHKEY_ROOT_KEY, the
new one is read from standard input or a prompt, and must be in the settings before the next start.

Examples:
  latchkey vault rotate --root
  latchkey vault rotate --keyring --purpose pepper`,
    )
    .action(async (options: RotateOptions, command: Command) => {
      if (options.root) {
        if (options.purpose !== undefined) command.error('error: --purpose goes with --keyring')
        return rotateRoot(connect(surroundings), terminal, options)
      }
      if (options.keyring) return rotateKeyring(connect(surroundings), terminal, options)
      command.error('error: say what to rotate: --root or --keyring')
    })

  group
    .command('seal')
    .description('wipe the keys from memory: requests are answered with 503 until it is unsealed')
    .option('--json', 'print one JSON document')
    .action(async (options: JsonOption) => {
      const status = await connect(surroundings).call({
        method: 'POST',
        path: '/api/vault/seal',
        answer: vaultStatusWire,
      })
      if (options.json) terminal.json(status)
      else terminal.line('The vault is sealed. Open it again with: latchkey vault unseal')
    })

  group
    .command('unseal')
    .description('read the root key again; a passphrase comes from standard input or a prompt')
    .option('--json', 'print one JSON document')
    .action(async (options: JsonOption) => {
      const client = connect(surroundings)
      const { rootKeySource, sealed } = await readStatus(client)
      const secret =
        sealed && rootKeySource === 'passphrase'
          ? await readSecret('Passphrase', undefined, terminal.streams)
          : undefined
      const status = await client.call({
        method: 'POST',
        path: '/api/vault/unseal',
        body: secret === undefined ? {} : { passphrase: oneLine(secret.reveal()) },
        answer: vaultStatusWire,
      })
      if (options.json) terminal.json(status)
      else terminal.line(sealed ? 'The vault is unsealed.' : 'The vault was not sealed.')
    })
}

function readStatus(client: AdminClient): Promise<VaultStatusWire> {
  return client.call({ method: 'GET', path: '/api/vault', answer: vaultStatusWire })
}

async function rotateRoot(client: AdminClient, terminal: Terminal, options: JsonOption): Promise<void> {
  const { rootKeySource } = await readStatus(client)
  const rotated = await client.call({
    method: 'POST',
    path: '/api/vault/rotate-root',
    body: await newRootKey(rootKeySource, terminal),
    answer: rootRotationWire,
  })
  if (rootKeySource !== 'file') {
    const variable = rootKeySource === 'value' ? 'LATCHKEY_ROOT_KEY' : 'LATCHKEY_ROOT_PASSPHRASE'
    terminal.note(`Set ${variable} to the new one before the next start: the old one stops working then.`)
  }
  if (options.json) terminal.json(rotated)
  else terminal.line(`The keyring is wrapped by root key ${rotated.rootKeyId} now. Back it up.`)
}

async function newRootKey(
  source: VaultStatusWire['rootKeySource'],
  terminal: Terminal,
): Promise<Readonly<Record<string, string>>> {
  switch (source) {
    case 'file':
      return {}
    case 'value': {
      const rootKey = await readSecret('New root key (base64 of 32 bytes)', undefined, terminal.streams)
      return { rootKey: oneLine(rootKey.reveal()) }
    }
    case 'passphrase': {
      const passphrase = await readSecret('New passphrase', undefined, terminal.streams)
      if (terminal.streams.stdin.isTTY) {
        const again = await readSecret('The same again', undefined, terminal.streams)
        if (again.reveal() !== passphrase.reveal()) {
          throw new CommandFailure(exitCode.usage, 'The two passphrases differ. Nothing was changed.')
        }
      }
      return { passphrase: oneLine(passphrase.reveal()) }
    }
    default:
      return source satisfies never
  }
}

async function rotateKeyring(client: AdminClient, terminal: Terminal, options: RotateOptions): Promise<void> {
  const rotating = client.call({
    method: 'POST',
    path: '/api/vault/rotate-keyring',
    body: options.purpose === undefined ? {} : { purpose: options.purpose },
    answer: keyringRotationWire,
  })
  const { rotated } = await terminal.during('Sealing every row anew', rotating)
  if (options.json) return terminal.json({ rotated })
  terminal.line(
    table(
      ['purpose', 'version', 'rows sealed anew'],
      rotated.map(({ purpose, version, rows }) => [purpose, version, rows]),
    ),
  )
}

/** `echo` and editors end a line; no passphrase ends so. */
function oneLine(text: string): string {
  return text.replace(/\r?\n$/, '')
}

function overview(status: VaultStatusWire): string {
  const head = fields([
    ['state', status.sealed ? 'sealed' : 'unsealed'],
    ['deployment', status.deploymentId],
    ['root key from', status.rootKeySource],
    ['root key', status.rootKeyId],
    ['processes', processesOf(status)],
  ])
  if (status.sealed) return head
  const keyring = table(
    ['purpose', 'version', 'state'],
    status.keyring.map(({ purpose, version, state }) => [purpose, version, state]),
  )
  return `${head}\n\n${keyring}`
}

function processesOf({ processes }: VaultStatusWire): string {
  if (processes === null) return 'unknown: the database is away'
  const { live, sealed, lockedOut } = processes
  const lockedOutPart = lockedOut === 0 ? [] : [`${lockedOut} locked out: give them the root key in use`]
  return [`${live} live`, `${sealed} sealed`, ...lockedOutPart].join(', ')
}

function verdict({ providerKeys, proxyKeys, bodyKeys, damaged }: VaultVerifyWire): string {
  const days = bodyKeys === 0 ? '' : `, the keys of ${counted(bodyKeys, 'day')} of bodies`
  const opened = `Opened ${counted(providerKeys, 'provider key')}${days} and checked ${counted(proxyKeys, 'proxy key')}.`
  if (damaged.length === 0) return `${opened} All are whole.`
  const rows = table(
    ['damaged', 'id', 'name'],
    damaged.map(({ kind, id, name }) => [kind, id, name]),
  )
  return `${opened} These were changed outside the vault, and do not work:\n\n${rows}`
}
