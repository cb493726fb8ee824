import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onCore } from './cores.ts'

/** How a program is started. */
export interface ProgramOptions {
  readonly name: string
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** The cores that it may use, as `taskset` spells them; null: all. */
  readonly core: string | null
  /** Where it writes its output, and works. */
  readonly directory: string
  /** Whether it can be used. Asked until it says so. */
  readonly isReady: () => boolean | Promise<boolean>
}

/** A program that can be used. */
export interface Program {
  readonly pid: number
  /** SIGTERM, and SIGKILL to what has not ended 20 s later. */
  stop(): Promise<void>
}

const startDeadlineMs = 120_000
const stopDeadlineMs = 20_000
const lookAgainMs = 50

/** Starts a program and waits until it is ready. Throws with the end of its output where it ends before. */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  const { name, command, env = {}, core, directory, isReady } = options
  const log = join(directory, `${name}.log`)
  const output = openSync(log, 'a')
  const [file = '', ...args] = onCore(core, command)
  const child = spawn(file, args, {
    cwd: directory,
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stdio: ['ignore', output, output],
  })
  closeSync(output)
  const { pid } = child
  const failed = once(child, 'error').then(([error]) => {
    throw error
  })
  if (pid === undefined) return failed
  try {
    await Promise.race([failed, untilReady(child, isReady)])
  } catch (error) {
    await stop(child)
    throw new Error(`${name} does not start: ${endOf(log)}`, { cause: error })
  }
  return { pid, stop: () => stop(child) }
}

/** Whether a URL is answered with success. */
export async function answers(url: string): Promise<boolean> {
  try {
    const { ok } = await fetch(url)
    return ok
  } catch {
    return false
  }
}

async function untilReady(child: ChildProcess, isReady: ProgramOptions['isReady']): Promise<void> {
  const deadline = performance.now() + startDeadlineMs
  while (!(await isReady())) {
    if (hasEnded(child)) throw new Error('it has ended')
    if (performance.now() > deadline) throw new Error('it does not become ready')
    await sleep(lookAgainMs)
  }
}

/** Whether somebody listens on a port of the loopback interface. */
export function listensOn(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

async function stop(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return
  const ended = once(child, 'exit')
  const late = setTimeout(() => child.kill('SIGKILL'), stopDeadlineMs)
  child.kill('SIGTERM')
  await ended
  clearTimeout(late)
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

function endOf(log: string): string {
  return readFileSync(log, 'utf8').trim().slice(-2000)
}
