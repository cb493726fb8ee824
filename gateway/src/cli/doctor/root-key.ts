import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Finding, fail, ok } from './finding.ts'
import type { Situation } from './situation.ts'

/** Whether the root key is where the settings say, and nobody else can read it. It is not opened. */
export function checkRootKey({ settings, dataDirectory }: Situation): readonly Finding[] {
  if (settings.kind === 'invalid') return []
  const { rootKey } = settings.config
  switch (rootKey.kind) {
    case 'value':
      return [ok('root key', 'LATCHKEY_ROOT_KEY')]
    case 'passphrase':
      return [ok('root key', 'LATCHKEY_ROOT_PASSPHRASE')]
    case 'file':
      return [checkFile(rootKey.path, existsSync(join(dataDirectory, 'postgres')))]
    default:
      return rootKey satisfies never
  }
}

function checkFile(path: string, hasVault: boolean): Finding {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) {
    return hasVault
      ? fail(
          'root key',
          `${path} is missing, and without it the vault stays closed`,
          'Restore it from your backup.',
        )
      : ok('root key', `${path} will be made at the first start`)
  }
  if ((stats.mode & 0o077) !== 0) {
    const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
    return fail('root key', `other users can read ${path} (mode ${mode})`, `Run: chmod 600 ${path}`)
  }
  return ok('root key', `${path} (keep a copy elsewhere: without it, nothing in the vault can be opened)`)
}
