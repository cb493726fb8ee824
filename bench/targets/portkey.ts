import { join } from 'node:path'
import { freePort } from '../../tests/support/free-port.ts'
import { listensOn, startProgram } from '../program.ts'
import { install } from './install.ts'
import { type Contender, providerSecret } from './target.ts'

/**
 * Portkey's gateway. Its open-source release has no keys of its own and no budgets: the client sends the provider's.
 * Source: https://github.com/Portkey-AI/gateway
 */
export const portkey: Contender = {
  names: ['portkey'],
  async start({ directory, cores, providerPort }) {
    const script = 'node_modules/@portkey-ai/gateway/build/start-server.js'
    const home = await install({
      name: 'portkey',
      program: script,
      commands: [
        ['npm', 'init', '--yes'],
        // With a newer one, which its own range takes, each of its streams is a 500.
        ['npm', 'pkg', 'set', 'overrides[@hono/node-server]=1.13.8'],
        ['npm', 'install', '--no-audit', '--no-fund', '@portkey-ai/gateway'],
      ],
    })
    const port = await freePort()
    const program = await startProgram({
      name: 'portkey',
      command: [process.execPath, join(home, script), `--port=${port}`, '--headless'],
      // It refuses providers on private addresses that are not named.
      env: { NODE_ENV: 'production', TRUSTED_CUSTOM_HOSTS: '127.0.0.1,localhost' },
      core: cores.gateway,
      directory,
      isReady: () => listensOn(port),
    })
    const target = {
      name: 'portkey',
      url: `http://127.0.0.1:${port}/v1/chat/completions`,
      headers: {
        authorization: `Bearer ${providerSecret}`,
        'x-portkey-provider': 'openai',
        'x-portkey-custom-host': `http://127.0.0.1:${providerPort}/v1`,
      },
      makeKeys: null,
      pids: [program.pid],
      model: null,
      note: 'no keys, no budgets: its open-source release has none',
    }
    return { targets: [target], stop: program.stop }
  },
}
