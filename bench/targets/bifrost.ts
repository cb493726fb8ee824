import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../tests/support/free-port.ts'
import { listensOn, startProgram } from '../program.ts'
import { findTool } from '../tools.ts'
import { install } from './install.ts'
import { type Contender, providerSecret } from './target.ts'

const virtualKey = 'sk-bf-bench'

/**
 * Bifrost's HTTP transport with a virtual key that has a budget and a rate limit. What is in `PATH` is used, else it is
 * installed. Source: https://docs.getbifrost.ai/deployment-guides/config-json/governance
 */
export const bifrost: Contender = {
  names: ['bifrost'],
  async start({ directory, cores, providerPort }) {
    const executable = findTool('bifrost-http') ?? (await installed())
    writeFileSync(join(directory, 'config.json'), JSON.stringify(configuration(providerPort)))
    const port = await freePort()
    const program = await startProgram({
      name: 'bifrost',
      command: [executable, '-app-dir', directory, '-host', '127.0.0.1', '-port', String(port)],
      core: cores.gateway,
      directory,
      isReady: () => listensOn(port),
    })
    const target = {
      name: 'bifrost',
      url: `http://127.0.0.1:${port}/v1/chat/completions`,
      headers: { authorization: `Bearer ${virtualKey}` },
      makeKeys: null,
      pids: [program.pid],
      model: 'openai/gpt-4o-mini',
      note: 'a virtual key with a budget and a rate limit, in SQLite',
    }
    return { targets: [target], stop: program.stop }
  },
}

async function installed(): Promise<string> {
  const program = 'bin/bifrost-http'
  const source = 'github.com/maximhq/bifrost/transports/bifrost-http@latest'
  const home = await install({
    name: 'bifrost',
    program,
    commands: [['sh', '-c', `GOBIN="$PWD/bin" exec go install ${source}`]],
  })
  return join(home, program)
}

function configuration(providerPort: number) {
  return {
    client: { drop_excess_requests: false, enforce_auth_on_inference: true },
    providers: {
      openai: {
        keys: [{ name: 'bench', value: providerSecret, models: ['*'], weight: 1 }],
        network_config: { base_url: `http://127.0.0.1:${providerPort}` },
      },
    },
    config_store: { enabled: true, type: 'sqlite', config: { path: './config.db' } },
    governance: {
      budgets: [{ id: 'bench', max_limit: 1_000_000, reset_duration: '1M' }],
      rate_limits: [{ id: 'bench', request_max_limit: 10_000_000, request_reset_duration: '1m' }],
      virtual_keys: [
        {
          id: 'bench',
          name: 'bench',
          value: virtualKey,
          is_active: true,
          budget_id: 'bench',
          rate_limit_id: 'bench',
          provider_configs: [{ provider: 'openai', weight: 1, allowed_models: ['*'], key_ids: ['*'] }],
        },
      ],
    },
  }
}
