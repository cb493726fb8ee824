import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../tests/support/free-port.ts'
import { answers, startProgram } from '../program.ts'
import { install } from './install.ts'
import { type Contender, providerSecret } from './target.ts'

const masterKey = 'sk-bench-master'

/**
 * LiteLLM's proxy, one worker. Keys and budgets need its Postgres schema, which its ORM makes with programs that it
 * downloads; here it runs without, with its master key alone. Source: https://docs.litellm.ai/docs/proxy/configs
 */
export const litellm: Contender = {
  names: ['litellm'],
  async start({ directory, cores, providerPort }) {
    const executable = 'venv/bin/litellm'
    const home = await install({
      name: 'litellm',
      program: executable,
      commands: [
        ['python3', '-m', 'venv', 'venv'],
        ['venv/bin/pip', 'install', '--quiet', 'litellm[proxy]'],
      ],
    })
    const file = join(directory, 'litellm.json')
    // JSON is YAML.
    writeFileSync(file, JSON.stringify(configuration(providerPort)))
    const port = await freePort()
    const program = await startProgram({
      name: 'litellm',
      command: [join(home, executable), '--config', file, '--host', '127.0.0.1', '--port', String(port)],
      env: { LITELLM_LOG: 'ERROR', LITELLM_MODE: 'PRODUCTION', LITELLM_LOCAL_MODEL_COST_MAP: 'True' },
      core: cores.gateway,
      directory,
      isReady: () => answers(`http://127.0.0.1:${port}/health/liveliness`),
    })
    const target = {
      name: 'litellm',
      url: `http://127.0.0.1:${port}/v1/chat/completions`,
      headers: { authorization: `Bearer ${masterKey}` },
      makeKeys: null,
      pids: [program.pid],
      model: null,
      note: 'its master key alone, no budgets: those need a database that it makes with downloaded programs',
    }
    return { targets: [target], stop: program.stop }
  },
}

function configuration(providerPort: number) {
  return {
    model_list: [
      {
        model_name: 'gpt-4o-mini',
        litellm_params: {
          model: 'openai/gpt-4o-mini',
          api_base: `http://127.0.0.1:${providerPort}/v1`,
          api_key: providerSecret,
        },
      },
    ],
    litellm_settings: { telemetry: false },
    general_settings: { master_key: masterKey },
  }
}
