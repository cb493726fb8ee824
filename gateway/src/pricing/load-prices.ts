import { readFile } from 'node:fs/promises'
import { errorFields } from '@latchkey/shared'
import { invalidPrices, type PriceFile, parsePriceFile } from './price-file.ts'
import { PriceTable } from './price-table.ts'
import builtIn from './prices.json' with { type: 'json' }

/**
 * The built-in prices, and those of an operator's file (`LATCHKEY_PRICES_FILE`) to lay over them; null:
 * none. Throws `invalid_config` naming the file and the path of the field that is wrong.
 */
export async function loadPriceFiles(overrideFile: string | null): Promise<readonly PriceFile[]> {
  const builtIn = builtInPrices()
  return overrideFile === null
    ? [builtIn]
    : [builtIn, await readPriceFile(overrideFile, `${overrideFile} (LATCHKEY_PRICES_FILE)`)]
}

/** The table that these files make. Throws as `loadPriceFiles` does. */
export async function loadPrices(overrideFile: string | null): Promise<PriceTable> {
  return new PriceTable(await loadPriceFiles(overrideFile))
}

/** The prices that come with this release. */
export function builtInPrices(): PriceFile {
  return parsePriceFile(builtIn, 'prices.json', 'built-in')
}

/** Reads and checks an operator's file, which faults call `name`. Throws `invalid_config`. */
export async function readPriceFile(path: string, name = path): Promise<PriceFile> {
  let value: unknown
  try {
    value = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw invalidPrices(name, '', String(errorFields(error).errorMessage ?? 'it can’t be read'))
  }
  return parsePriceFile(value, name)
}
