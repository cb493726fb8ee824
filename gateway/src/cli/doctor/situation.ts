import {
  LatchkeyError,
  type ProviderKeyWire,
  providerKeyPageWire,
  type StatusWire,
  statusWire,
} from '@latchkey/shared'
import { clusterVersion } from '@latchkey/shared/database'
import { type Config, readConfig, type ServerDatabase } from '../../config.ts'
import { readDataDirectory } from '../../data-directory.ts'
import { AdminClient } from '../admin-client.ts'
import { everyPage } from '../every-page.ts'
import { CommandFailure, exitCode } from '../exit-code.ts'
import { findGateway } from '../find-gateway.ts'
import type { Surroundings } from '../surroundings.ts'

/** What the settings say: everything, or why they can't be read. */
export type Settings =
  | { readonly kind: 'read'; readonly config: Config }
  | { readonly kind: 'invalid'; readonly message: string }

/** The gateway that answers, if one does. */
export type Gateway =
  | {
      readonly kind: 'running'
      readonly status: StatusWire
      readonly providerKeys: readonly ProviderKeyWire[]
    }
  | { readonly kind: 'absent' }
  /** Something is there that does not let us in, or is none. */
  | { readonly kind: 'refusing'; readonly message: string }

/** What the checks look at. It is gathered once, and changes nothing. */
export interface Situation {
  readonly settings: Settings
  readonly dataDirectory: string
  /** Where the settings say that a Postgres of one's own is; null: it is embedded, or they can't be read. */
  readonly server: ServerDatabase | null
  /** The major version that the embedded Postgres's directory belongs to; null: there is none, or it can't be read. */
  readonly clusterMajor: string | null
  readonly gateway: Gateway
  /** Wall clock, milliseconds since the epoch, halfway through the gateway's answer. */
  readonly now: number
}

export async function gatherSituation(surroundings: Surroundings): Promise<Situation> {
  const { env, clock } = surroundings
  const asked = clock.now()
  const gateway = await askGateway(surroundings)
  const settings = readSettings(env)
  const dataDirectory = readDataDirectory(env)
  return {
    settings,
    server: serverOf(settings),
    dataDirectory,
    clusterMajor: clusterMajorOf(dataDirectory),
    gateway,
    now: (asked + clock.now()) / 2,
  }
}

function readSettings(env: NodeJS.ProcessEnv): Settings {
  try {
    return { kind: 'read', config: readConfig(env) }
  } catch (error) {
    if (error instanceof LatchkeyError) return { kind: 'invalid', message: error.message }
    throw error
  }
}

function serverOf(settings: Settings): ServerDatabase | null {
  if (settings.kind === 'invalid') return null
  const { database } = settings.config
  return database.kind === 'server' ? database : null
}

function clusterMajorOf(dataDirectory: string): string | null {
  try {
    return clusterVersion(dataDirectory)
  } catch {
    return null
  }
}

async function askGateway({ env }: Surroundings): Promise<Gateway> {
  try {
    const client = new AdminClient(findGateway(env))
    const status = await client.call({ method: 'GET', path: '/api/status', answer: statusWire })
    const reachable = status.database.kind === 'reachable'
    const providerKeys = reachable
      ? await everyPage(client, '/api/provider-keys', {}, providerKeyPageWire)
      : []
    return { kind: 'running', status, providerKeys }
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error
    if (error.exitCode === exitCode.noGateway) return { kind: 'absent' }
    return { kind: 'refusing', message: error.message }
  }
}
