import type { Command } from 'commander'
import { aborted, untilInterrupted } from './interruption.ts'
import { collectOne, decimal, whole } from './option-values.ts'
import type { Surroundings } from './surroundings.ts'

interface SimulateOptions {
  readonly host: string
  readonly port: number
  readonly basePath?: string
  readonly requireKey: boolean
  readonly latency?: number
  readonly tokens?: number
  readonly pace?: number
  readonly chunkTokens?: number
  readonly faultRate?: number
  readonly fault?: string[]
  readonly seed?: number
  readonly json?: true
}

/** `latchkey simulate`: a provider that answers in OpenAI's shape, to try, rehearse and load-test against. */
export function addSimulateCommand(program: Command, { terminal }: Surroundings): void {
  program
    .command('simulate')
    .description('run a provider that answers in OpenAI’s shape, without an account')
    .option('--host <address>', 'where to listen', '127.0.0.1')
    .option('--port <port>', 'where to listen; 0 takes any free port', whole(0, 65_535), 8790)
    .option('--base-path <path>', 'what its paths begin with (default: /v1)')
    .option('--no-require-key', 'answer requests without a bearer key, too')
    .option('--latency <ms>', 'time to the first byte (default: 0)', decimal(0, 600_000))
    .option('--tokens <n>', 'tokens of an answer (default: 50)', whole(1, 1_000_000))
    .option(
      '--pace <n>',
      'tokens a second of a stream; 0 is as fast as possible (default: 0)',
      decimal(0, 1_000_000),
    )
    .option('--chunk-tokens <n>', 'tokens of one event of a stream (default: 1)', whole(1, 1_000_000))
    .option('--fault-rate <share>', 'the share of requests that fail, 0 to 1 (default: 0)', decimal(0, 1))
    .option('--fault <fault>', 'a fault to choose from; may be repeated (see docs/simulator.md)', collectOne)
    .option('--seed <n>', 'makes texts, ids and faults repeatable', whole(0, 0xffff_ffff))
    .option('--json', 'print one JSON document once it listens: {"baseUrl","books"}')
    .addHelpText(
      'after',
      `
Examples:
  latchkey simulate --latency 300 --pace 60 --fault-rate 0.02
  echo any | latchkey provider-keys add sim --provider openai-compatible --base-url http://127.0.0.1:8790/v1
The gateway refuses providers on this machine unless LATCHKEY_ALLOW_UPSTREAM_CIDRS=127.0.0.0/8 allows them.
A provider key of provider "simulator" needs none of this: the gateway has one built in.`,
    )
    .action(async (options: SimulateOptions) => {
      const { startSimulator } = await import('../simulator/simulator.ts')
      const simulator = await startSimulator({
        listen: { host: options.host, port: options.port },
        settings: {
          basePath: options.basePath,
          requireKey: options.requireKey,
          latencyMs: options.latency,
          tokens: options.tokens,
          pace: options.pace,
          chunkTokens: options.chunkTokens,
          faultRate: options.faultRate,
          faultKinds: options.fault,
          seed: options.seed,
        },
      })
      const { baseUrl } = simulator.address
      const books = new URL('/books', baseUrl).href
      if (options.json) terminal.json({ baseUrl, books })
      else {
        terminal.line(`The simulator answers at ${baseUrl}, and keeps its books at ${books}.`)
        terminal.note('Ctrl-C ends it.')
      }
      await untilInterrupted(aborted)
      await simulator.close()
    })
}
