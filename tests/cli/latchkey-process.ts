import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { readAnnouncement } from '../../gateway/src/runtime/announcement.ts'

const script = fileURLToPath(new URL('../../gateway/bin/latchkey.js', import.meta.url))

export type Settings = Readonly<Record<string, string>>

export interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Starts `latchkey` with these settings and no others of ours. */
export function spawnLatchkey(args: readonly string[], settings: Settings): ChildProcess {
  return spawnScript(script, args, settings)
}

/** As `spawnLatchkey`, of another program. */
export function spawnScript(path: string, args: readonly string[], settings: Settings): ChildProcess {
  const { PATH = '', HOME = '' } = process.env
  return spawn(process.execPath, ['--conditions=source', path, ...args], {
    env: { PATH, HOME, ...settings },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
}

/** Runs `latchkey` to its end, with `input` on standard input. */
export async function latchkey(args: readonly string[], settings: Settings, input = ''): Promise<Ended> {
  const child = spawnLatchkey(args, settings)
  // A command that reads no input may be gone before it is written.
  child.stdin?.on('error', () => {})
  child.stdin?.end(input)
  const [stdout, stderr, [status]] = await Promise.all([
    read(child.stdout),
    read(child.stderr),
    once(child, 'close'),
  ])
  return { status, stdout, stderr }
}

/** The lines of a stream as they come. */
export function linesOf(stream: NodeJS.ReadableStream | null): AsyncIterator<string> {
  if (stream === null) throw new Error('the process has no such stream')
  return createInterface({ input: stream })[Symbol.asyncIterator]()
}

export interface GatewayProcess {
  readonly settings: Settings
  readonly dataDirectory: string
  readonly adminUrl: string
  readonly dataUrl: string
  readonly pid: number
  /** SIGTERM, awaited; the data directory stays. */
  stop(): Promise<number | null>
  /** Stops it, if it runs, and removes the data directory. */
  discard(): Promise<void>
}

/** A gateway as users run it, on a new data directory and free ports. */
export async function startGatewayProcess(more: Settings = {}): Promise<GatewayProcess> {
  const dataDirectory = mkdtempSync(join(realpathSync(tmpdir()), 'latchkey-cli-'))
  const settings = { LATCHKEY_DATA_DIR: dataDirectory }
  const child = spawnLatchkey(['serve'], {
    ...settings,
    LATCHKEY_PORT: '0',
    LATCHKEY_ADMIN_PORT: '0',
    ...more,
  })
  child.stdout?.resume()
  const lines = createInterface({ input: child.stderr ?? process.stdin })
  await new Promise<void>((resolve, reject) => {
    const seen: string[] = []
    lines.on('line', (line) => {
      seen.push(line)
      if (line.includes('"gateway.ready"')) resolve()
    })
    child.once('exit', () => reject(new Error(seen.join('\n'))))
  })
  const announced = readAnnouncement(dataDirectory)
  if (announced === null) throw new Error('the gateway is ready and has announced nothing')
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    }
    return child.exitCode
  }
  return {
    settings,
    dataDirectory,
    adminUrl: announced.adminUrl,
    dataUrl: announced.dataUrl,
    pid: announced.pid,
    stop,
    async discard() {
      await stop()
      rmSync(dataDirectory, { recursive: true, force: true, maxRetries: 10 })
    },
  }
}

async function read(stream: NodeJS.ReadableStream | null): Promise<string> {
  let text = ''
  for await (const piece of stream ?? []) text += piece
  return text
}
