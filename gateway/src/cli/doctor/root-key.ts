import { statSync } from 'node:fs'
import { type Finding, fail, ok, warn } from './finding.ts'
import type { Situation } from './situation.ts'

/** Whether the root key is where the settings say, and nobody else can read it. It is not opened. */
export function checkRootKey({ settings, clusterMajor, server }: Situation): readonly Finding[] {
  if (settings.kind === 'invalid') return []
  const { rootKey } = settings.config
  switch (rootKey.kind) {
    case 'value':
      return [ok('root key', 'LATCHKEY_ROOT_KEY')]
    case 'passphrase':
      return [ok('root key', 'LATCHKEY_ROOT_PASSPHRASE')]
    case 'file':
      return [checkFile(rootKey.path, server === null ? vaultOf(clusterMajor) : 'unknown')]
    default:
      return rootKey satisfies never
  }
}

/** Whether there is a vault that needs its root key. */
type VaultKnown = 'there' | 'absent' | 'unknown'

function vaultOf(clusterMajor: string | null): VaultKnown {
  return clusterMajor === null ? 'absent' : 'there'
}

function checkFile(path: string, vault: VaultKnown): Finding {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return missing(path, vault)
  if ((stats.mode & 0o077) !== 0) {
    const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
    return fail('root key', `other users can read ${path} (mode ${mode})`, `Run: chmod 600 ${path}`)
  }
  return ok('root key', `${path} (keep a copy elsewhere: without it, nothing in the vault can be opened)`)
}

function missing(path: string, vault: VaultKnown): Finding {
  switch (vault) {
    case 'there':
      return fail(
        'root key',
        `${path} is missing, and without it the vault stays closed`,
        'Restore it from your backup.',
      )
    case 'absent':
      return ok('root key', `${path} will be made at the first start`)
    case 'unknown':
      return warn(
        'root key',
        `${path} is missing. It is made if the database has no vault yet`,
        'If it has one, copy the file from where the vault was made.',
      )
    default:
      return vault satisfies never
  }
}
