import type { Surroundings } from '../surroundings.ts'
import { checkClock } from './clock.ts'
import { checkDataDirectory } from './data-directory.ts'
import { checkDatabase } from './database.ts'
import type { Finding } from './finding.ts'
import { checkLock } from './lock.ts'
import { checkNode } from './node-version.ts'
import { checkPorts } from './ports.ts'
import { checkProviders } from './providers.ts'
import { checkRootKey } from './root-key.ts'
import { checkGateway, checkSettings } from './settings.ts'
import { gatherSituation } from './situation.ts'

/** Looks at everything that a gateway needs, in the order in which it is to be mended. `network`: at the providers too. */
export async function examine(surroundings: Surroundings, network: boolean): Promise<readonly Finding[]> {
  const situation = await gatherSituation(surroundings)
  return [
    checkNode(),
    checkSettings(situation.settings),
    ...checkDataDirectory(situation.dataDirectory),
    ...(situation.server === null ? [checkLock(situation)] : []),
    ...(await checkPorts(situation)),
    ...checkRootKey(situation),
    checkGateway(situation.gateway),
    await checkDatabase(situation),
    ...(network ? await checkProviders(situation) : []),
    checkClock(situation),
  ]
}
