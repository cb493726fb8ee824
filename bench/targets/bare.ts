import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../tests/support/free-port.ts'
import { listensOn, startProgram } from '../program.ts'
import { startPostgres } from './postgres.ts'
import { type Contender, providerSecret, type Started, type Surroundings } from './target.ts'

export const bareKey = 'sk-bare-0123456789abcdefghijklmnopqrstuv'

/** The least that a gateway on Node can be: `bench/bare.ts`. It is 1.0x. */
export const bare: Contender = {
  names: ['bare'],
  start: (surroundings) =>
    start('bare', surroundings, {}, 'one key in a map, no policy, limit, budget or record'),
}

/** The least that one with a vault and books can be: `bench/floor.ts`. */
export const floor: Contender = {
  names: ['floor'],
  async start(surroundings) {
    const directory = join(surroundings.directory, 'floor')
    mkdirSync(directory, { mode: 0o711 })
    const postgres = await startPostgres(directory, surroundings.cores.gateway)
    try {
      const settings = { DATABASE_URL: postgres.databaseUrl }
      const note = 'as bare, a provider key opened and a record written for each request'
      const { targets, stop } = await start('floor', surroundings, settings, note)
      return {
        targets: targets.map((target) => ({ ...target, pids: [...target.pids, postgres.pid] })),
        stop: () => stop().finally(postgres.stop),
      }
    } catch (error) {
      await postgres.stop()
      throw error
    }
  },
}

async function start(
  name: string,
  { directory, cores, providerPort, nodeOptions }: Surroundings,
  settings: Readonly<Record<string, string>>,
  note: string,
): Promise<Started> {
  const port = await freePort()
  const program = await startProgram({
    name,
    command: [process.execPath, '--conditions=source', join(import.meta.dirname, `../${name}.ts`)],
    env: {
      PORT: String(port),
      PROVIDER: `http://127.0.0.1:${providerPort}`,
      PROVIDER_KEY: providerSecret,
      KEY: bareKey,
      NODE_OPTIONS: nodeOptions,
      ...settings,
    },
    core: cores.gateway,
    directory,
    isReady: () => listensOn(port),
  })
  const target = {
    name,
    url: `http://127.0.0.1:${port}/v1/chat/completions`,
    headers: { authorization: `Bearer ${bareKey}` },
    makeKeys: null,
    pids: [program.pid],
    model: null,
    note,
  }
  return { targets: [target], stop: program.stop }
}
