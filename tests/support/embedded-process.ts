import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { SocketConnection } from '@latchkey/shared'
import { onTestFinished } from 'vitest'

const script = fileURLToPath(new URL('./embedded-process-main.ts', import.meta.url))

export type ProcessMessage =
  | { readonly kind: 'locked' | 'interrupted' }
  | { readonly kind: 'ready'; readonly pid: number; readonly connection: SocketConnection }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }

export interface EmbeddedProcess {
  readonly pid: number
  /** The next message. Throws where the process ends without one. */
  next(): Promise<ProcessMessage>
  /** kill -9, awaited. */
  kill(): Promise<void>
  /** Sends a signal to its whole process group, as Ctrl-C in a terminal does. */
  signalGroup(signal: NodeJS.Signals): void
}

/** Starts a process, in a group of its own, that owns `directory` and its Postgres until it is killed. */
export function startEmbeddedProcess(directory: string): EmbeddedProcess {
  const child = spawn(process.execPath, ['--conditions=source', script, directory], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const { pid } = child
  if (pid === undefined) throw new Error('the process did not start')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const kill = () => killChild(child)
  onTestFinished(kill)
  return {
    pid,
    async next() {
      const line = await lines.next()
      if (line.done) throw new Error('the process ended without a message')
      return parseMessage(line.value)
    },
    kill,
    signalGroup: (signal) => process.kill(-pid, signal),
  }
}

/** Its next message, which has to be that it is ready. */
export async function untilReady(
  child: EmbeddedProcess,
): Promise<Extract<ProcessMessage, { kind: 'ready' }>> {
  for (;;) {
    const message = await child.next()
    if (message.kind === 'ready') return message
    if (message.kind === 'refused') throw new Error(message.message)
  }
}

async function killChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

function parseMessage(line: string): ProcessMessage {
  return JSON.parse(line) as ProcessMessage
}
