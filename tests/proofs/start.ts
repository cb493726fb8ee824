// How long the gateway takes to be ready, and what it holds at rest. `npm run prove-start`
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const laterStarts = 5
const mostFirstMs = 4000
const mostLaterMs = 1000
const mostMiB = 200
const bin = join(import.meta.dirname, '../../gateway/bin/latchkey.js')
const directory = mkdtempSync(join(tmpdir(), 'latchkey-proof-'))
const port = 18_787
const env = {
  ...process.env,
  LATCHKEY_DATA_DIR: directory,
  LATCHKEY_PORT: String(port),
  LATCHKEY_ADMIN_PORT: String(port + 1),
  LATCHKEY_LOG_LEVEL: 'error',
}

async function startUntilReady(): Promise<{ readonly gateway: ChildProcess; readonly ms: number }> {
  const started = performance.now()
  // Its own first line says with which flags; npm has put our Node before the machine's.
  const gateway = spawn(bin, ['serve'], { env, stdio: 'inherit' })
  while (!(await isReady())) {
    if (gateway.exitCode !== null) throw new Error(`the gateway ended with ${gateway.exitCode}`)
    await sleep(5)
  }
  return { gateway, ms: performance.now() - started }
}

async function isReady(): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok
  } catch {
    return false
  }
}

async function stop(gateway: ChildProcess): Promise<void> {
  gateway.kill('SIGTERM')
  await once(gateway, 'exit')
}

/** Gateway and database in MiB. Proportional set size: pages that Postgres's processes share count once. */
function restingMiB(gateway: number): number {
  const postmaster = Number(
    readFileSync(join(directory, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0],
  )
  const pids = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))
  const family = pids.filter((pid) => {
    const id = Number(pid)
    return id === gateway || id === postmaster || parentOf(pid) === postmaster
  })
  return family.reduce((sum, pid) => sum + proportionalKiB(pid), 0) / 1024
}

function parentOf(pid: string): number | null {
  try {
    return Number(/^PPid:\s+([0-9]+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  } catch {
    return null
  }
}

function proportionalKiB(pid: string): number {
  return Number(/^Pss:\s+([0-9]+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0)
}

try {
  const first = await startUntilReady()
  await stop(first.gateway)
  const later: number[] = []
  let mib = 0
  for (let start = 0; start < laterStarts; start++) {
    const { gateway, ms } = await startUntilReady()
    later.push(ms)
    if (start === laterStarts - 1 && existsSync('/proc/self/smaps_rollup')) {
      await sleep(3000)
      mib = restingMiB(gateway.pid ?? 0)
    }
    await stop(gateway)
  }
  const median = later.toSorted((a, b) => a - b)[Math.floor(laterStarts / 2)] ?? 0
  process.stdout.write(
    `ready after ${first.ms.toFixed(0)} ms the first time, ${median.toFixed(0)} ms later (median of ${laterStarts}); ${mib.toFixed(0)} MiB at rest, database included\n`,
  )
  process.exitCode = first.ms <= mostFirstMs && median <= mostLaterMs && mib <= mostMiB ? 0 : 1
} finally {
  rmSync(directory, { recursive: true, force: true })
}
