import { setTimeout as sleep } from 'node:timers/promises'
import { vaultVerifyWire } from '@latchkey/shared'
import type { Gateway } from '../budgets/gateway.ts'
import { type Stage, type StageKey, startStage } from '../revocation/stage.ts'

export interface RotationTrial {
  readonly requests: number
  readonly violations: readonly string[]
}

const pauseMs = 20
const rowsToMove = 300
const patienceMs = 60_000

/**
 * Rotates the keyring of three live gateways twice, with requests at each of them all the while: once with one of them
 * stopped (SIGSTOP) and woken after it, once with the one that rotates killed in the middle.
 */
export async function rotateLive(say: (text: string) => void): Promise<RotationTrial> {
  const stage = await startStage(3)
  const violations: string[] = []
  const load = new Load(violations)
  try {
    const [first, sleeper, victim] = stage.gateways
    if (sleeper === undefined || victim === undefined) throw new Error('there are three gateways')
    const keys = [await stage.mint('one'), await stage.mint('two')] as const
    for (const gateway of stage.gateways) load.start(gateway, keys)

    sleeper.suspend()
    await first.admin('POST', '/vault/rotate-keyring', {})
    await stage.mint('made while one sleeps')
    say('rotated while one process was stopped')
    sleeper.resume()
    await load.served(sleeper, 20)
    say('the one that was stopped serves again')

    for (let number = 0; number < rowsToMove; number++)
      await first.admin('POST', '/provider-keys', {
        ...{ name: `spare-${number}`, provider: 'openai', secret: `sk-spare-${number}` },
      })
    const rotating = victim.admin('POST', '/vault/rotate-keyring', { purpose: 'secret' }).then(
      () => 'answered',
      () => 'broken off',
    )
    await until('rows are moved', async () => (await secretVersions(stage)) > 1)
    await victim.kill()
    say(`killed the process that rotates: its rotation was ${await rotating}`)
    await until('another has finished', async () => {
      const [deployment] = await stage.query<{ rotating: string | null }>(
        'SELECT rotating_process_id AS rotating FROM deployment',
      )
      return deployment?.rotating === null && (await secretVersions(stage)) === 1
    })
    await load.served(first, 20)
    const { damaged } = vaultVerifyWire.parse(await sleeper.admin('POST', '/vault/verify', {}))
    if (damaged.length > 0) violations.push(`${damaged.length} rows are damaged`)
  } finally {
    await load.stop()
    await stage.discard()
  }
  return { requests: load.requests, violations }
}

/** Requests one after the other at each gateway; whatever is answered must be served. */
class Load {
  readonly #violations: string[]
  readonly #served = new Map<Gateway, number>()
  readonly #lanes: Promise<void>[] = []
  #running = true
  requests = 0

  constructor(violations: string[]) {
    this.#violations = violations
  }

  start(gateway: Gateway, keys: readonly StageKey[]): void {
    for (const key of keys) this.#lanes.push(this.#lane(gateway, key))
  }

  /** Resolves when so many more were served by one. */
  async served(gateway: Gateway, count: number): Promise<void> {
    const goal = (this.#served.get(gateway) ?? 0) + count
    await until('it serves', async () => (this.#served.get(gateway) ?? 0) >= goal)
  }

  async stop(): Promise<void> {
    this.#running = false
    await Promise.all(this.#lanes)
  }

  async #lane(gateway: Gateway, { token }: StageKey): Promise<void> {
    while (this.#running && !gateway.killed) {
      try {
        const response = await fetch(`${gateway.dataUrl}/v1/models`, {
          headers: { authorization: `Bearer ${token}` },
        })
        const text = await response.text()
        this.requests += 1
        this.#served.set(gateway, (this.#served.get(gateway) ?? 0) + 1)
        if (response.status !== 200) this.#violations.push(`${response.status} ${text.slice(0, 200)}`)
      } catch (error) {
        if (!gateway.killed) this.#violations.push(`a request failed: ${String(error)}`)
      }
      await sleep(pauseMs)
    }
  }
}

/** Under how many ring keys provider keys are sealed. */
async function secretVersions(stage: Stage): Promise<number> {
  const [row] = await stage.query<{ versions: string }>(
    'SELECT count(DISTINCT substring(envelope FROM 5 FOR 4)) AS versions FROM provider_key',
  )
  return Number(row?.versions ?? 0)
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs
  while (!(await condition())) {
    if (performance.now() > deadline)
      throw new Error(`in ${patienceMs / 1000} s it did not come about that ${what}`)
    await sleep(2)
  }
}
