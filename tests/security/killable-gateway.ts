import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { readdirSync, readFileSync, watch } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { announcedGateways } from '../../gateway/src/runtime/announced-gateways.ts'

const script = fileURLToPath(new URL('../../gateway/bin/latchkey.js', import.meta.url))

export interface AdminAnswer {
  readonly status: number
  readonly text: string
}

/** A gateway in a process of its own, as `npm start` runs it, that can be killed and talked to. */
export interface KillableGateway {
  readonly pid: number
  readonly dataDirectory: string
  /** All that it has written to standard output and standard error. */
  output(): string
  /** Resolves once that event has been logged so often, past lines included. Throws where the process ends without it. */
  logged(event: string, times?: number): Promise<void>
  /** Resolves when it serves; its origins are known then. Throws what it printed where it ends instead. */
  ready(): Promise<{ readonly dataUrl: string; readonly adminUrl: string }>
  /** A request to the admin API, once it is ready. Rejects where the process dies under it. */
  admin(method: string, path: string, body?: unknown): Promise<AdminAnswer>
  /** kill -9 of the gateway alone, awaited. */
  kill(): Promise<void>
  /** SIGTERM, awaited: the exit code. */
  stop(): Promise<number | null>
}

/** The environment of a gateway on `dataDirectory` and free ports, with nothing of this process's own but the path. */
export function gatewayEnvironment(
  dataDirectory: string,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    // Its first line asks for `node`: it shall be ours.
    PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
    LATCHKEY_DATA_DIR: dataDirectory,
    LATCHKEY_PORT: '0',
    LATCHKEY_ADMIN_PORT: '0',
    LATCHKEY_ALLOW_UPSTREAM_CIDRS: '127.0.0.0/8',
    ...more,
  }
}

/** Starts `latchkey serve`. It is stopped, and what an unclean end left is swept, when the test has finished. */
export function startKillableGateway(
  dataDirectory: string,
  env: Readonly<Record<string, string>> = {},
): KillableGateway {
  const child = spawn(script, ['serve'], {
    env: gatewayEnvironment(dataDirectory, env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { pid } = child
  if (pid === undefined) throw new Error('the process did not start')
  const events = new EventEmitter().setMaxListeners(100)
  const seen = new Map<string, number>()
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      output += `${line}\n`
      const event = eventOf(line)
      if (event === null) return
      seen.set(event, (seen.get(event) ?? 0) + 1)
      events.emit('line', event)
    })
  }
  const closed = once(child, 'close')
  void closed.then(() => events.emit('line', null))
  onTestFinished(async () => {
    await killChild(child)
    for (const server of serversOf(dataDirectory)) process.kill(server, 'SIGQUIT')
  })
  const gateway: KillableGateway = {
    pid,
    dataDirectory,
    output: () => output,
    async logged(event, times = 1) {
      while ((seen.get(event) ?? 0) < times) {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`ended: ${output}`)
        await once(events, 'line')
      }
    },
    async ready() {
      await gateway.logged('gateway.ready')
      // Workers announce themselves, and all of them the same.
      const isOurs = (each: { readonly pid: number }) =>
        env.LATCHKEY_WORKERS === undefined ? each.pid === pid : true
      const announced = announcedGateways(dataDirectory).find((each) => each.alive && isOurs(each))
      if (announced === undefined) throw new Error('it is ready and has announced nothing')
      return announced
    },
    async admin(method, path, body) {
      const { adminUrl } = await gateway.ready()
      const token = readFileSync(join(dataDirectory, 'admin.token'), 'utf8').trim()
      const response = await fetch(`${adminUrl}/api${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: response.status, text: await response.text() }
    },
    kill: () => killChild(child),
    async stop() {
      child.kill('SIGTERM')
      await closed
      return child.exitCode
    },
  }
  return gateway
}

/** Resolves once the directory holds, or has held for a moment, an entry whose name begins with `prefix`. */
export async function untilEntry(directory: string, prefix: string): Promise<void> {
  const watcher = watch(directory)
  const appeared = new Promise<void>((resolve) => {
    watcher.on('change', (_kind, name) => {
      if (String(name).startsWith(prefix)) resolve()
    })
  })
  try {
    if (!readdirSync(directory).some((name) => name.startsWith(prefix))) await appeared
  } finally {
    watcher.close()
  }
}

/** The Postgres servers that run on a data directory: their process ids. */
export function serversOf(dataDirectory: string): readonly number[] {
  return processesNaming(`-D ${dataDirectory}/postgres `)
}

/** The processes of this machine whose command line has `text` in it. */
export function processesNaming(text: string): readonly number[] {
  const lines = execFileSync('ps', ['-A', '-ww', '-o', 'pid=,command='], { encoding: 'utf8' }).split('\n')
  return lines.filter((line) => line.includes(text)).map((line) => Number.parseInt(line, 10))
}

async function killChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

function eventOf(line: string): string | null {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && 'event' in value ? String(value.event) : null
  } catch {
    return null
  }
}
