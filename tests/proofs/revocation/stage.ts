import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mintedProxyKeyWire } from '@latchkey/shared'
import { startDeafPostgres } from '../../support/deaf-postgres.ts'
import { startPostgres } from '../../support/postgres.ts'
import { startRedis } from '../../support/redis.ts'
import { startTcpProxy } from '../../support/tcp-proxy.ts'
import { type Gateway, startGateway } from '../budgets/gateway.ts'
import { startUpstream } from '../budgets/upstream.ts'

/** A proxy key of the proof. */
export interface StageKey {
  readonly id: string
  readonly token: string
}

/** Gateways, each a process, on one Postgres and one Redis. */
export interface Stage {
  readonly gateways: readonly [Gateway, ...Gateway[]]
  /** The rows of one statement, past the gateways. */
  query<Row extends object>(sql: string): Promise<readonly Row[]>
  mint(name: string, more?: object): Promise<StageKey>
  /** From now on neither NOTIFY nor Redis's messages reach anybody, and no connection says so. */
  cutChannels(): void
  discard(): Promise<void>
}

const providerKey = 'upstream'

/** Starts everything; what has started is stopped where something does not. */
export async function startStage(processes = 2): Promise<Stage> {
  const undo: (() => Promise<unknown>)[] = []
  const discard = async () => {
    for (const step of undo.splice(0).reverse()) await step()
  }
  try {
    const directory = mkdtempSync(join(realpathSync(tmpdir()), 'latchkey-revocation-'))
    undo.push(async () => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }))
    const undone = <Started>(starting: Promise<Started>, end: (started: Started) => Promise<unknown>) =>
      starting.then((started) => {
        undo.push(() => end(started))
        return started
      })
    const starting = [
      undone(startPostgres(), (started) => started.discard()),
      undone(startRedis(), (started) => started.discard()),
      undone(startUpstream(1), (started) => started.stop()),
    ] as const
    // Where one of them fails, the others are to be stopped.
    await Promise.allSettled(starting)
    const [postgres, redis, upstream] = await Promise.all(starting)
    const deaf = await startDeafPostgres(postgres.port)
    undo.push(() => deaf.close())
    const bus = await startTcpProxy({ port: redis.port })
    undo.push(() => bus.close())
    const name = await postgres.createDatabase()
    const database = new URL(postgres.url(name))
    database.port = String(deaf.port)
    const settings = {
      LATCHKEY_DATA_DIR: directory,
      LATCHKEY_PORT: '0',
      LATCHKEY_ADMIN_PORT: '0',
      LATCHKEY_ALLOW_UPSTREAM_CIDRS: '127.0.0.0/8',
      DATABASE_URL: database.href,
      REDIS_URL: `redis://127.0.0.1:${bus.port}`,
    }
    const others = Array.from({ length: processes - 1 }, () => startGateway(settings))
    const [first, ...rest] = await Promise.all([startGateway(settings), ...others])
    undo.push(() => Promise.all([first, ...rest].map((gateway) => gateway.stop())))
    await first.admin('POST', '/provider-keys', {
      name: providerKey,
      provider: 'simulator',
      baseUrl: upstream.baseUrl,
    })
    return {
      gateways: [first, ...rest],
      query: (sql) => postgres.query(name, sql),
      async mint(keyName, more = {}) {
        const minted = await first.admin('POST', '/keys', {
          name: keyName,
          providerKeys: [providerKey],
          ...more,
        })
        const { id, key } = mintedProxyKeyWire.parse(minted)
        return { id, token: key }
      },
      cutChannels() {
        deaf.deafen()
        bus.pause()
      },
      discard,
    }
  } catch (error) {
    await discard()
    throw error
  }
}
