import { join } from 'node:path'
import { freePort } from '../../tests/support/free-port.ts'
import { listensOn, startProgram } from '../program.ts'
import { type Contender, providerSecret } from './target.ts'

const script = join(import.meta.dirname, '../bare.ts')
export const bareKey = 'sk-bare-0123456789abcdefghijklmnopqrstuv'

/** The least that a gateway on Node can be: `bench/bare.ts`. It is 1.0x. */
export const bare: Contender = {
  names: ['bare'],
  async start({ directory, cores, providerPort, nodeOptions }) {
    const port = await freePort()
    const program = await startProgram({
      name: 'bare',
      command: [process.execPath, script],
      env: {
        PORT: String(port),
        PROVIDER: `http://127.0.0.1:${providerPort}`,
        PROVIDER_KEY: providerSecret,
        KEY: bareKey,
        NODE_OPTIONS: nodeOptions,
      },
      core: cores.gateway,
      directory,
      isReady: () => listensOn(port),
    })
    const target = {
      name: 'bare',
      url: `http://127.0.0.1:${port}/v1/chat/completions`,
      headers: { authorization: `Bearer ${bareKey}` },
      makeKeys: null,
      pids: [program.pid],
      model: null,
      note: 'one key in a map, no policy, limit, budget or record',
    }
    return { targets: [target], stop: program.stop }
  },
}
