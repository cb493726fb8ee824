import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { freePort } from './free-port.ts'

/** A Redis of its own on a port of the loopback interface. It keeps nothing: killed and started again, it is empty. */
export interface TestRedis {
  readonly port: number
  readonly url: string
  /** One command on a connection of the test's own. */
  command(...words: readonly string[]): Promise<unknown>
  /** Starts it again if it has ended, on the same port. Resolves when it answers. */
  start(): Promise<void>
  /** kill -9. Resolves when it is gone. */
  kill(): Promise<void>
  /** Stops it where it is: connections stay open, and nobody answers. */
  freeze(): void
  thaw(): void
  /** Stops it and removes its directory. */
  discard(): Promise<void>
}

const startDeadlineMs = 30_000
const lookAgainMs = 10

export interface TestRedisOptions {
  /** Arguments on top: `--maxmemory`, `1mb`. */
  readonly settings?: readonly string[]
  /** What the test's own commands need to get in. */
  readonly password?: string
  /** Lines of a configuration file, which makes it a sentinel. */
  readonly sentinel?: readonly string[]
}

/** Starts a `redis-server`. Whoever starts it discards it. */
export async function startRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  try {
    return await startOn(await freePort(), options)
  } catch (error) {
    // Somebody else may take a port that was free a moment ago.
    if (!(error instanceof Error && error.message.includes('Address already in use'))) throw error
    return startOn(await freePort(), options)
  }
}

async function startOn(port: number, options: TestRedisOptions): Promise<TestRedis> {
  const program = locateServer()
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-redis-'))
  const url = `redis://127.0.0.1:${port}`
  const login = options.password === undefined ? {} : { password: options.password }
  let child: ChildProcess | null = null

  async function command(...[name = 'PING', ...words]: readonly string[]): Promise<unknown> {
    const client = new Redis({ ...login, port, host: '127.0.0.1', lazyConnect: true, retryStrategy: null })
    client.on('error', () => undefined)
    try {
      await client.connect()
      return await client.call(name, ...words)
    } finally {
      client.disconnect()
    }
  }

  function argumentsOf(): readonly string[] {
    const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory]
    if (options.sentinel === undefined)
      return [...place, '--save', '', '--appendonly', 'no', ...(options.settings ?? [])]
    const file = join(directory, 'sentinel.conf')
    writeFileSync(file, `${options.sentinel.join('\n')}\n`)
    return [file, '--sentinel', ...place]
  }

  async function start(): Promise<void> {
    if (child !== null && !hasEnded(child)) return
    const launched = spawn(program, argumentsOf(), { stdio: ['ignore', 'pipe', 'pipe'] })
    child = launched
    let output = ''
    for (const stream of [launched.stdout, launched.stderr])
      stream?.on('data', (chunk: Buffer) => {
        output += chunk.toString()
      })
    const deadline = Date.now() + startDeadlineMs
    while (!(await answers())) {
      if (hasEnded(launched) || Date.now() > deadline) throw new Error(output)
      await delay(lookAgainMs)
    }
  }

  async function answers(): Promise<boolean> {
    try {
      await command('PING')
      return true
    } catch {
      return false
    }
  }

  async function end(): Promise<void> {
    if (child === null || hasEnded(child)) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }

  await start()
  return {
    port,
    url,
    command,
    start,
    kill: end,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    async discard() {
      await end()
      rmSync(directory, { recursive: true, force: true, maxRetries: 10 })
    },
  }
}

/** Three masters of one Redis Cluster that share its slots. */
export interface TestCluster {
  readonly nodes: readonly TestRedis[]
  readonly url: string
  discard(): Promise<void>
}

/** Resolves when the cluster serves all of its slots. */
export async function startRedisCluster(): Promise<TestCluster> {
  const settings = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000']
  const nodes = await Promise.all([0, 1, 2].map(() => startRedis({ settings })))
  const discard = async () => {
    await Promise.all(nodes.map((node) => node.discard()))
  }
  try {
    const slots = 16_384
    for (const [index, node] of nodes.entries()) {
      const first = Math.ceil((index * slots) / nodes.length)
      const last = Math.ceil(((index + 1) * slots) / nodes.length) - 1
      await node.command('CLUSTER', 'ADDSLOTSRANGE', String(first), String(last))
      await node.command('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1))
      const { port } = nodes[0] ?? node
      if (port !== node.port) await node.command('CLUSTER', 'MEET', '127.0.0.1', String(port))
    }
    const deadline = Date.now() + startDeadlineMs
    while (!(await Promise.all(nodes.map(isComplete))).every(Boolean)) {
      if (Date.now() > deadline) throw new Error('the cluster did not form')
      await delay(lookAgainMs)
    }
  } catch (error) {
    await discard()
    throw error
  }
  const hosts = nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')
  return { nodes, url: `redis+cluster://${hosts}`, discard }
}

async function isComplete(node: TestRedis): Promise<boolean> {
  const info = String(await node.command('CLUSTER', 'INFO'))
  return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3')
}

/** Throws with what installs it, since a suite that is skipped proves nothing. */
function locateServer(): string {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin']
  const found = directories
    .map((directory) => join(directory, 'redis-server'))
    .find((path) => existsSync(path))
  if (found !== undefined) return found
  throw new Error('redis-server is missing. Install it: sudo apt-get install -y redis-server')
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}
