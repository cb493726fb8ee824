import type { ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type StatusWire, statusWire } from '@latchkey/shared'
import type { BudgetTimes } from '../../../gateway/src/budget/budget-times.ts'
import { announcedGateways } from '../../../gateway/src/runtime/announced-gateways.ts'
import { spawnLatchkey, spawnScript } from '../../cli/latchkey-process.ts'

/** A gateway in a process of its own, as `npm start` runs it. */
export interface Gateway {
  readonly pid: number
  readonly dataUrl: string
  /** Whether it can be talked to: it has neither ended nor been stopped. */
  readonly awake: boolean
  /** It ended by `kill`: of what it had not recorded, nobody knows. */
  readonly killed: boolean
  /** How often it has logged that event. */
  logged(event: string): number
  /** Its last log lines, for whoever looks for a defect. */
  tail(): string
  /** Resolves once it has logged that event so often. Throws where it ends before. */
  untilLogged(event: string, times?: number): Promise<void>
  /** A request to the admin API; its answer. Throws where that is an error. */
  admin(method: string, path: string, body?: unknown): Promise<unknown>
  status(): Promise<StatusWire>
  signal(signal: NodeJS.Signals): void
  /** SIGSTOP and SIGCONT: between them it does nothing, and its connections stay open. */
  suspend(): void
  resume(): void
  /** kill -9, awaited. */
  kill(): Promise<void>
  /** SIGTERM, awaited: the exit code. */
  stop(): Promise<number | null>
}

const tailLines = 40
const hastyScript = fileURLToPath(new URL('hasty-gateway-main.ts', import.meta.url))

/**
 * Starts `latchkey serve` with these settings and resolves when it serves. Throws what it printed where it ends instead.
 * With `times` its budgets take those instead of their own.
 */
export async function startGateway(
  settings: Readonly<Record<string, string>>,
  times: Partial<BudgetTimes> | null = null,
): Promise<Gateway> {
  const dataDirectory = settings.LATCHKEY_DATA_DIR ?? ''
  const child =
    times === null
      ? spawnLatchkey(['serve'], settings)
      : spawnScript(hastyScript, [JSON.stringify(times)], settings)
  child.stdin?.end()
  const log = new ProcessLog(child)
  const untilLogged = async (event: string, times = 1) => {
    while (log.count(event) < times) {
      if (hasEnded(child)) throw new Error(`the gateway ended:\n${log.tail()}`)
      await log.next()
    }
  }
  await untilLogged('gateway.ready')
  const announced = announcedGateways(dataDirectory).find(({ pid }) => pid === child.pid)
  if (announced === undefined) throw new Error('the gateway is ready and has announced nothing')
  const { pid, dataUrl, adminUrl } = announced
  const adminToken = readFileSync(join(dataDirectory, 'admin.token'), 'utf8').trim()
  let killed = false
  let suspended = false
  const end = async (signal: NodeJS.Signals) => {
    if (hasEnded(child)) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }
  const admin = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(`${adminUrl}/api${path}`, {
      method,
      headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }
  return {
    pid,
    dataUrl,
    get awake() {
      return !suspended && !hasEnded(child)
    },
    get killed() {
      return killed
    },
    logged: (event) => log.count(event),
    tail: () => log.tail(),
    untilLogged,
    admin,
    status: async () => statusWire.parse(await admin('GET', '/status')),
    signal: (signal) => {
      child.kill(signal)
    },
    suspend() {
      suspended = true
      child.kill('SIGSTOP')
    },
    resume() {
      child.kill('SIGCONT')
      suspended = false
    },
    kill: () => {
      killed = true
      return end('SIGKILL')
    },
    async stop() {
      // Whoever is stopped does not hear of its end.
      child.kill('SIGCONT')
      await end('SIGTERM')
      return child.exitCode
    },
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

/** What a process prints: how often each event was logged, and its last lines. */
class ProcessLog {
  readonly #lines: string[] = []
  readonly #counts = new Map<string, number>()
  readonly #changes = new EventEmitter().setMaxListeners(100)

  constructor(child: ChildProcess) {
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue
      createInterface({ input: stream }).on('line', (line) => this.#read(line))
    }
    child.once('close', () => this.#changes.emit('change'))
  }

  count(event: string): number {
    return this.#counts.get(event) ?? 0
  }

  tail(): string {
    return this.#lines.join('\n')
  }

  /** Resolves with the next line, or when the process has ended. */
  async next(): Promise<void> {
    await once(this.#changes, 'change')
  }

  #read(line: string): void {
    this.#lines.push(line)
    if (this.#lines.length > tailLines) this.#lines.shift()
    const event = eventOf(line)
    if (event !== null) this.#counts.set(event, this.count(event) + 1)
    this.#changes.emit('change')
  }
}

function eventOf(line: string): string | null {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && 'event' in value ? String(value.event) : null
  } catch {
    return null
  }
}
