import { setTimeout as sleep } from 'node:timers/promises'
import {
  errorFields,
  isConnectionFault,
  isLocal,
  LatchkeyError,
  type ServerConnection,
} from '@latchkey/shared'
import { checkServer, connectDatabase, postgresListener } from '@latchkey/shared/database'
import type { ServerDatabase } from '../config.ts'
import { readAuthority } from './authority-file.ts'
import { describeRefusal } from './database-refusal.ts'
import { readPassword } from './password-file.ts'
import { poolDefaults } from './pool-defaults.ts'
import { takeProcessDirectory } from './process-directory.ts'
import type { Storage, StorageSurroundings } from './storage.ts'

// Database and gateway are often started together.
const patienceMs = 15_000
const lookAgainMs = 500

/**
 * Server mode: a Postgres that is there already, which other processes may be on. Of the data directory it needs
 * the root key and the admin token, so processes may share it. Throws `database_unreachable`,
 * `database_unsuitable`, `invalid_config` or a fault of the data directory.
 */
export async function openServerStorage(
  setting: ServerDatabase,
  dataDirectory: string,
  surroundings: StorageSurroundings,
): Promise<Storage> {
  const { clock, random, log } = surroundings
  const connection = readServerConnection(setting)
  if (connection.tls.kind === 'off' && !isLocal(connection))
    log.warn('database.unencrypted', { variable: 'DATABASE_URL' })
  await untilSuitable(connection, surroundings)
  const directory = takeProcessDirectory(dataDirectory, clock, random)
  const { connections } = setting
  const database = connectDatabase({ ...poolDefaults, connection, maxConnections: connections, log })
  const heartbeat = connectDatabase({ ...poolDefaults, connection, maxConnections: 1, log })
  return {
    mode: 'server',
    database,
    heartbeat,
    alone: false,
    listener: postgresListener(connection, log),
    socketDirectory: directory.socketDirectory,
    announcementDirectory: directory.path,
    async close() {
      await Promise.all([heartbeat.close(), database.close()])
      directory.release()
    },
  }
}

/** The connection of the settings, with the password and the certificate authority of their files. Throws `invalid_config`. */
export function readServerConnection(setting: ServerDatabase): ServerConnection {
  const { connection, authorityFile, passwordFile } = setting
  const password =
    passwordFile === null
      ? connection.password
      : readPassword('LATCHKEY_DATABASE_PASSWORD_FILE', passwordFile)
  if (authorityFile === null) return { ...connection, password }
  const authority = readAuthority('LATCHKEY_DATABASE_CA', authorityFile)
  return { ...connection, password, tls: { kind: 'verified', authority } }
}

/** Waits for a server that can't be reached yet. One that refuses us, or is none for us, is not waited for. */
async function untilSuitable(
  connection: ServerConnection,
  { clock, random, log }: StorageSurroundings,
): Promise<void> {
  const deadline = clock.monotonic() + patienceMs
  for (let attempt = 1; ; attempt++) {
    try {
      const check = await checkServer(connection, random)
      if (check.kind === 'unsuitable') throw unsuitable(check.reason)
      log.info('database.checked', { version: check.version })
      return
    } catch (error) {
      if (error instanceof LatchkeyError) throw error
      const refusal = describeRefusal(error, connection)
      if (!isConnectionFault(error) || refusal.final || clock.monotonic() > deadline) {
        throw new LatchkeyError('database_unreachable', { message: refusal.message, cause: error })
      }
      log.warn('database.awaited', { attempt, ...errorFields(error) })
      await sleep(lookAgainMs)
    }
  }
}

function unsuitable(reason: string): LatchkeyError {
  return new LatchkeyError('database_unsuitable', {
    message: `The database of DATABASE_URL can't be used. ${reason}`,
    param: 'DATABASE_URL',
  })
}
