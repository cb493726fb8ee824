import { rotateKeyringWire, rotateRootWire, unsealWire } from '@latchkey/shared'
import { Hono } from 'hono'
import type { AdminDependencies } from '../dependencies.ts'
import { readBody } from '../input.ts'
import { noInput } from '../no-input.ts'
import { readVaultStatus, rotateKeyring, rotateRoot, sealVault, unsealVault, verifyVault } from './vault.ts'

/** `/api/vault`: the keys that seal everything else. */
export function vaultRoutes({ vault }: AdminDependencies): Hono {
  return new Hono()
    .get('/', async (c) => c.json(await readVaultStatus(vault)))
    .post('/verify', async (c) => {
      await readBody(c, noInput)
      return c.json(await verifyVault(vault))
    })
    .post('/rotate-root', async (c) => c.json(await rotateRoot(vault, await readBody(c, rotateRootWire))))
    .post('/rotate-keyring', async (c) => {
      const { purpose } = await readBody(c, rotateKeyringWire)
      return c.json(await rotateKeyring(vault, purpose))
    })
    .post('/seal', async (c) => {
      await readBody(c, noInput)
      return c.json(await sealVault(vault))
    })
    .post('/unseal', async (c) => {
      const { passphrase } = await readBody(c, unsealWire)
      return c.json(await unsealVault(vault, passphrase))
    })
}
