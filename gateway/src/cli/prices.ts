import { changedPricesWire, type PriceWire, pricePageWire, type SetPricesWire } from '@latchkey/shared'
import type { Command } from 'commander'
import { changesToWire, effectivePrices, type PriceFilter } from '../pricing/effective-prices.ts'
import { builtInPrices, loadPrices, readPriceFile } from '../pricing/load-prices.ts'
import { diffPrices } from '../pricing/price-diff.ts'
import type { PriceFile } from '../pricing/price-file.ts'
import { PriceTable } from '../pricing/price-table.ts'
import { everyPage } from './every-page.ts'
import { CommandFailure, exitCode } from './exit-code.ts'
import { changeList, priceDetails, priceList } from './price-view.ts'
import { connect, type Surroundings } from './surroundings.ts'

interface ShowOptions {
  readonly provider?: string
  readonly json?: true
}

interface SetOptions {
  readonly dryRun?: true
  readonly json?: true
}

/** `latchkey prices …`: what models cost here. */
export function addPriceCommands(program: Command, surroundings: Surroundings): void {
  const { terminal, env, clock } = surroundings
  const group = program.command('prices').description('look at what models cost, and set it')

  group
    .command('show')
    .description('show what a model costs now')
    .argument('<model>', 'its name, as in a request')
    .option('--provider <name>', 'whose model it is (default: every provider that lists it)')
    .option('--json', 'print one JSON array, prices in pico-dollars')
    .addHelpText(
      'after',
      `
Where no gateway runs, these are the prices that one would start with: the built-in ones, and over them the
file that LATCHKEY_PRICES_FILE names.
Examples:
  latchkey prices show gpt-5-nano
  latchkey prices show claude-haiku-4-5 --provider anthropic --json`,
    )
    .action(async (model: string, options: ShowOptions) => {
      const found = await pricesHere(surroundings, { model, provider: options.provider ?? null })
      if (found.length === 0) {
        throw new CommandFailure(
          exitCode.failure,
          `No price is known for ${model}. A key with a budget can’t use it; docs/pricing.md says how to add one.`,
        )
      }
      if (options.json) terminal.json(found)
      else terminal.line(found.map(priceDetails).join('\n\n'))
    })

  group
    .command('list')
    .description('list what every model costs now')
    .option('--provider <name>', 'only its models')
    .option('--json', 'print one JSON array, prices in pico-dollars')
    .action(async (options: ShowOptions) => {
      const found = await pricesHere(surroundings, { model: null, provider: options.provider ?? null })
      if (options.json) terminal.json(found)
      else terminal.line(priceList(found))
    })

  group
    .command('set')
    .description('set the prices that a file lists, here and in every process, from now on')
    .argument('<file>', 'in the form of the file that LATCHKEY_PRICES_FILE names')
    .option('--dry-run', 'show what would change, and change nothing')
    .option('--json', 'print one JSON document')
    .action(async (path: string, options: SetOptions) => {
      const body: SetPricesWire = { ...settable(await readPriceFile(path)), dryRun: options.dryRun ?? false }
      const client = connect(surroundings)
      const made = await client.call({ method: 'PUT', path: '/api/prices', body, answer: changedPricesWire })
      if (options.json) return terminal.json(made)
      if (made.changes.length > 0) terminal.line(changeList(made.changes))
      else terminal.line('These prices are in force already.')
      if (made.dryRun) terminal.note('This was a dry run: nothing has changed.')
    })

  group
    .command('remove')
    .description('remove a price that was set; the file’s or the built-in one holds again')
    .argument('<provider>', 'whose model it is; * for models that are listed nowhere')
    .argument('<model>', 'its name; * for models that are listed nowhere')
    .option('--json', 'print one JSON document')
    .action(async (provider: string, model: string, options: { readonly json?: true }) => {
      const path = `/api/prices/${encodeURIComponent(provider)}/${encodeURIComponent(model)}`
      const made = await connect(surroundings).call({ method: 'DELETE', path, answer: changedPricesWire })
      if (options.json) return terminal.json(made)
      if (made.changes.length > 0) terminal.line(changeList(made.changes))
      else terminal.line('Removed. What holds now is the same.')
    })

  group
    .command('check')
    .description('show what a file of prices would change at the next start; changes nothing')
    .argument('<file>', 'the file that LATCHKEY_PRICES_FILE would name')
    .option('--json', 'print one JSON array')
    .action(async (path: string, options: { readonly json?: true }) => {
      const after = new PriceTable([builtInPrices(), await readPriceFile(path)])
      const before = await loadPrices(env.LATCHKEY_PRICES_FILE || null)
      const changes = changesToWire(diffPrices(before, after, clock.now()))
      if (options.json) terminal.json(changes)
      else if (changes.length === 0) terminal.line('The file is valid, and changes nothing now.')
      else terminal.line(changeList(changes))
    })
}

/** The prices of the gateway that runs, or else those that one would start with. */
async function pricesHere(surroundings: Surroundings, filter: PriceFilter): Promise<readonly PriceWire[]> {
  const { env, terminal, clock } = surroundings
  const query = { provider: filter.provider ?? undefined, model: filter.model ?? undefined }
  try {
    return await everyPage(connect(surroundings), '/api/prices', query, pricePageWire)
  } catch (error) {
    // A gateway that was named must answer itself.
    const isAbsent = error instanceof CommandFailure && error.exitCode === exitCode.noGateway
    if (!isAbsent || env.LATCHKEY_URL) throw error
  }
  terminal.note('No gateway runs: these are the prices of the files, without what was set by the API.')
  return effectivePrices(await loadPrices(env.LATCHKEY_PRICES_FILE || null), filter, clock.now())
}

/** The part of a file that the API takes. */
function settable({ models, fallback, aliases, tools, inherit }: PriceFile): SetPricesWire {
  for (const [name, part] of Object.entries({ aliases, tools, inherit })) {
    if (Object.keys(part).length > 0) {
      throw new CommandFailure(
        exitCode.failure,
        `Only prices of models can be set; ${name} belong in the file that LATCHKEY_PRICES_FILE names.`,
      )
    }
  }
  return { models, ...(fallback === undefined ? {} : { fallback }) }
}
