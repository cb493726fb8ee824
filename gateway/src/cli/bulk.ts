import { type CreateProxyKeysWire, mintedProxyKeysWire } from '@latchkey/shared'
import type { Command } from 'commander'
import { counted } from './counted.ts'
import { findGroup } from './find-group.ts'
import { addKeyOptions, type KeyOptions, providerKeysOf, wirePart } from './key-options.ts'
import { limitsOf } from './limit-options.ts'
import { connect, type Surroundings } from './surroundings.ts'

interface BulkOptions extends KeyOptions {
  readonly csv: string
  readonly out: string
  readonly json?: true
}

/** `latchkey keys bulk`: a key for each row of a file, all or none. */
export function addBulkCommand(keys: Command, surroundings: Surroundings): void {
  const { terminal, clock } = surroundings
  addKeyOptions(
    keys
      .command('bulk')
      .description('mint a key for each row of a CSV file, all or none, and write them to another')
      .requiredOption('--csv <file>', 'columns name, email, budget, models and expiry; only name is required')
      .option('--out <file>', 'where the keys are written, for your eyes only', 'keys.csv'),
    clock,
    'create',
  )
    .option('--json', 'print one JSON document; the keys are in the file alone')
    .addHelpText(
      'after',
      `
A cell that is empty leaves it to the options, which hold for all. One bad row refuses the whole file.

Example:
  latchkey keys bulk --group hack-2026 --csv people.csv --budget 4 --models gpt-5-nano --expires 2026-12-06T18:00:00Z`,
    )
    .action(async (options: BulkOptions) => {
      // Only here: no other command needs libraries for CSV.
      const { readPeople } = await import('./people-csv.ts')
      const { openKeyFile } = await import('./key-file.ts')
      const people = readPeople(options.csv, clock.now())
      const client = connect(surroundings)
      const group = typeof options.group === 'string' ? await findGroup(client, options.group) : null
      const body: CreateProxyKeysWire = {
        ...wirePart(options),
        providerKeys: await providerKeysOf(client, options),
        group: group?.id ?? null,
        limits: limitsOf(options) ?? [],
        keys: [...people],
      }
      const file = openKeyFile(options.out)
      const making = client.call({
        method: 'POST',
        path: '/api/keys/bulk',
        body,
        answer: mintedProxyKeysWire,
      })
      const { data } = await terminal
        .during(`Making ${counted(people.length, 'key')}`, making)
        .catch((error: unknown) => {
          file.discard()
          throw error
        })
      file.write(data)
      const ended = data.filter((key) => key.status === 'expired').length
      if (ended > 0) terminal.note(`${counted(ended, 'key')} of them ended in the past.`)
      if (options.json)
        return terminal.json({ file: options.out, keys: data.length, group: group?.name ?? null })
      terminal.line(
        `Made ${counted(data.length, 'key')}. They stand in ${options.out}, which only you can read.`,
      )
    })
}
