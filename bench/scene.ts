import { chmodSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../tests/support/free-port.ts'
import { chooseCores } from './cores.ts'
import { type Loader, startLoader } from './load/loader.ts'
import type { Instruments } from './measure.ts'
import { listensOn, startProgram } from './program.ts'
import { contenders } from './targets/contenders.ts'
import type { Surroundings, Target } from './targets/target.ts'

/** Everything that is under way during a run. */
export interface Scene {
  readonly instruments: Instruments
  /** The provider as a target without a gateway before it. */
  readonly provider: Target
  readonly targets: readonly Target[]
  readonly missing: readonly { readonly names: readonly string[]; readonly reason: string }[]
}

export interface SceneOptions {
  readonly targets: ReadonlySet<string>
  readonly nodeOptions: string
  /** Hears what is going on. */
  readonly say: (line: string) => void
}

/** Starts the provider, the load and the targets that are asked for, hands them to `act`, and stops everything again, whatever comes. */
export async function withScene<Result>(
  options: SceneOptions,
  act: (scene: Scene) => Promise<Result>,
): Promise<Result> {
  const directory = mkdtempSync(join(realpathSync(tmpdir()), 'latchkey-bench-'))
  // Postgres runs as another user where we are root, who has to get through.
  chmodSync(directory, 0o711)
  const stops: (() => Promise<void>)[] = [async () => rmSync(directory, { recursive: true, force: true })]
  const stopAll = async () => {
    for (let stop = stops.pop(); stop !== undefined; stop = stops.pop()) await stop()
  }
  const onSignal = () => void stopAll().then(() => process.exit(130))
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  try {
    return await act(await open(directory, options, (stop) => stops.push(stop)))
  } finally {
    await stopAll()
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
  }
}

async function open(
  directory: string,
  { targets: wanted, nodeOptions, say }: SceneOptions,
  onStop: (stop: () => Promise<void>) => void,
): Promise<Scene> {
  const cores = chooseCores()
  const providerPort = await freePort()
  const provider = await startProgram({
    name: 'provider',
    command: [process.execPath, join(import.meta.dirname, 'provider/provider.ts'), String(providerPort)],
    core: cores.load,
    directory,
    isReady: () => listensOn(providerPort),
  })
  onStop(provider.stop)
  const loader: Loader = startLoader(cores.load)
  onStop(loader.stop)
  const surroundings: Surroundings = { directory, cores, providerPort, nodeOptions }
  const targets: Target[] = []
  const missing: Scene['missing'][number][] = []
  for (const contender of contenders) {
    const names = contender.names.filter((name) => wanted.has(name))
    if (names.length === 0) continue
    say(`starting ${names.join(', ')}`)
    try {
      const started = await contender.start(surroundings)
      onStop(started.stop)
      targets.push(...started.targets.filter(({ name }) => wanted.has(name)))
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      say(`${names.join(', ')}: ${reason}`)
      missing.push({ names, reason })
    }
  }
  const url = `http://127.0.0.1:${providerPort}/v1/chat/completions`
  const alone = {
    name: 'provider',
    url,
    headers: {},
    makeKeys: null,
    pids: [],
    model: null,
    note: 'no gateway',
  }
  return { instruments: { directory, cores, loader }, provider: alone, targets, missing }
}
