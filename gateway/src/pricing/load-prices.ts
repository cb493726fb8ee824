import { readFile } from 'node:fs/promises'
import { errorFields } from '@latchkey/shared'
import { invalidPrices, type PriceFile, parsePriceFile } from './price-file.ts'
import { PriceTable } from './price-table.ts'
import builtIn from './prices.json' with { type: 'json' }

/**
 * The built-in prices, with those of an operator's file (`LATCHKEY_PRICES_FILE`) laid over them; null:
 * none. Throws `invalid_config` naming the file and the path of the field that is wrong.
 */
export async function loadPrices(overrideFile: string | null): Promise<PriceTable> {
  const files = [builtInPrices()]
  if (overrideFile !== null) files.push(await readPriceFile(overrideFile))
  return new PriceTable(files)
}

/** The prices that come with this release. */
export function builtInPrices(): PriceFile {
  return parsePriceFile(builtIn, 'prices.json')
}

/** Reads and checks an operator's file. Throws `invalid_config`. */
export async function readPriceFile(path: string): Promise<PriceFile> {
  let value: unknown
  try {
    value = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw invalidPrices(path, '', String(errorFields(error).errorMessage ?? 'it can’t be read'))
  }
  return parsePriceFile(value, path)
}
