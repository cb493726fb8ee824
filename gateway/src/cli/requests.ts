import { setTimeout as delay } from 'node:timers/promises'
import {
  type RequestsWire,
  type RequestWire,
  requestBodiesWire,
  requestDetailWire,
  requestsWire,
} from '@latchkey/shared'
import type { Command } from 'commander'
import type { AdminClient } from './admin-client.ts'
import { findKey } from './find-key.ts'
import { untilInterrupted } from './interruption.ts'
import { whole } from './option-values.ts'
import { requestHead, requestLine } from './request-line.ts'
import { bodyText, requestFields } from './request-view.ts'
import { connect, type Surroundings } from './surroundings.ts'

interface TailOptions {
  readonly lines: number
  readonly follow?: true
  readonly key?: string
  readonly json?: true
}

interface ShowOptions {
  readonly bodies?: true
  readonly json?: true
}

const pollEveryMs = 500

/** `latchkey requests …`: what went through the gateway. */
export function addRequestCommands(program: Command, surroundings: Surroundings): void {
  const { terminal, clock } = surroundings
  const group = program.command('requests').description('look at what went through the gateway')

  group
    .command('tail')
    .description('show the latest requests, newest last')
    .option('-n, --lines <n>', 'how many', whole(1, 1000), 20)
    .option('-f, --follow', 'go on with each new one, until Ctrl-C')
    .option('--key <key>', 'only those of one proxy key (its id, or its name if no other key has it)')
    .option('--json', 'print one JSON array; with --follow, one object a line')
    .addHelpText(
      'after',
      `
Examples:
  latchkey requests tail --follow
  latchkey requests tail --json -n 100 --key alice`,
    )
    .action(async (options: TailOptions) => {
      const client = connect(surroundings)
      const key = options.key === undefined ? undefined : (await findKey(client, options.key)).id
      const first = await ask(client, { limit: options.lines, key })
      if (options.json && !options.follow) return terminal.json(first.data)
      const show = (record: RequestWire) =>
        options.json ? terminal.jsonLine(record) : terminal.line(requestLine(record))
      if (!options.json) terminal.line(requestHead)
      for (const record of first.data) show(record)
      if (options.follow) await untilInterrupted((signal) => follow(client, key, first, show, signal))
    })

  group
    .command('show')
    .description('show one request')
    .argument('<id>', 'its id, as in the header latchkey-request-id of its answer')
    .option('--bodies', 'with the bodies that were kept of it')
    .option('--json', 'print one JSON document')
    .action(async (id: string, options: ShowOptions) => {
      const client = connect(surroundings)
      const path = `/api/requests/${encodeURIComponent(id)}`
      const record = await client.call({ method: 'GET', path, answer: requestDetailWire })
      const kept = options.bodies
        ? await client.call({ method: 'GET', path: `${path}/bodies`, answer: requestBodiesWire })
        : null
      if (options.json) return terminal.json(kept === null ? record : { ...record, bodies: kept })
      terminal.line(requestFields(record, clock.now()))
      if (kept === null) return
      terminal.line(`\n${bodyText('request', kept.request)}`)
      terminal.line(`\n${bodyText('response', kept.response)}`)
    })
}

/** Shows each record once: those at the seam of the first answer can come again, later ones can't. */
async function follow(
  client: AdminClient,
  key: string | undefined,
  first: RequestsWire,
  show: (record: RequestWire) => void,
  signal: AbortSignal,
): Promise<void> {
  const shown = new Set(first.data.map((record) => record.id))
  let after = first.cursor
  for (;;) {
    const { data, cursor } = await ask(client, { limit: 1000, key, after }, signal)
    for (const record of data) if (!shown.has(record.id)) show(record)
    after = cursor
    if (data.length < 1000) await delay(pollEveryMs, undefined, { signal })
  }
}

function ask(
  client: AdminClient,
  query: { readonly limit: number; readonly key: string | undefined; readonly after?: string },
  signal?: AbortSignal,
): Promise<RequestsWire> {
  return client.call({
    method: 'GET',
    path: '/api/requests',
    query,
    answer: requestsWire,
    ...(signal === undefined ? {} : { signal }),
  })
}
