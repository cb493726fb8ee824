import { resolve } from 'node:path'

/** What the CLI needs to find a gateway: the data directory, and where the environment says to talk. */
export function readDataDirectory({
  LATCHKEY_DATA_DIR,
}: Readonly<Record<string, string | undefined>>): string {
  return resolve(LATCHKEY_DATA_DIR || '.latchkey')
}
