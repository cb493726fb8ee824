// Proves that bogus keys cost paying users little: `npm run prove-bogus-keys`. It measures the time that a valid
// key's requests take, alone and under 1,000 bogus keys a second, in turn, and fails where the p99 doubles.
// The senders are processes of their own, and the flood's gives way; where there are two cores only, they still take
// some time from the gateway, as does whatever else runs.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { mintedProxyKeyWire } from '@latchkey/shared'
import { readAdminToken } from '../../gateway/src/admin/token.ts'
import { type GatewayProcess, startGatewayProcess } from '../cli/latchkey-process.ts'
import { processCpu } from './process-cpu.ts'
import type { SenderReport, SenderTask } from './sender.ts'

const rounds = 7
// 2,400 requests: 24 of them are beyond the p99.
const roundMs = 8000
const validPerSecond = 300
const bogusPerSecond = 1000
/** The flood begins so much earlier than what is measured under it, and ends later. */
const marginMs = 1000
const mostRatio = 2

interface Round extends SenderReport {
  /** Milliseconds of CPU time that the gateway has used; null where it can't be told. */
  readonly cpu: number | null
}

/** A process that sends requests. One task at a time. */
interface Sender {
  send(task: SenderTask): Promise<SenderReport>
  stop(): Promise<void>
}

process.exitCode = await prove()

async function prove(): Promise<number> {
  const gateway = await startGatewayProcess()
  const valid = startSender()
  const bogus = startSender()
  try {
    const key = await mintKey(gateway)
    const alone = () => measure(gateway, valid, key)
    const flooded = () => measureFlooded(gateway, valid, bogus, key)
    print(`${availableParallelism()} cores for gateway, database and senders`)
    // Both ways once, unmeasured: the first seconds of either are the compiler's.
    await alone()
    await flooded()
    const ratios: number[] = []
    const costs: number[] = []
    for (let round = 1; round <= rounds; round++) {
      // Each way is the first in turn, so that whatever changes with time favours neither.
      const first = round % 2 === 0 ? await flooded() : await alone()
      const second = round % 2 === 0 ? await alone() : await flooded()
      const [without, under] = round % 2 === 0 ? [second, first] : [first, second]
      const ratio = under.p99 / without.p99
      ratios.push(ratio)
      const cost = costOfBogusKey(without, under)
      if (cost !== null) costs.push(cost)
      print(
        `round ${round}: p99 alone ${ms(without.p99)}, flooded ${ms(under.p99)} (p50 ${ms(without.p50)}, ${ms(under.p50)}): ` +
          `${ratio.toFixed(2)} times${cost === null ? '' : `; ${cost.toFixed(0)} µs of the gateway's CPU a bogus key`}`,
      )
    }
    if (costs.length > 0) print(`median: ${median(costs).toFixed(0)} µs of the gateway's CPU a bogus key`)
    const typical = median(ratios)
    print(`median: ${typical.toFixed(2)} times; it must be under ${mostRatio}`)
    return typical < mostRatio ? 0 : 1
  } finally {
    await Promise.all([valid.stop(), bogus.stop()])
    await gateway.discard()
  }
}

/** One round of a valid key's requests. Throws where one is refused. */
async function measure(gateway: GatewayProcess, sender: Sender, key: string): Promise<Round> {
  const before = processCpu(gateway.pid)
  const report = await sender.send({
    url: `${gateway.dataUrl}/v1/chat/completions`,
    key,
    keys: 'good',
    perSecond: validPerSecond,
    forMs: roundMs,
  })
  const after = processCpu(gateway.pid)
  expectOnly(report, 200)
  return { ...report, cpu: before === null || after === null ? null : after - before }
}

/** The same under a flood. Throws where a bogus key is not refused as one, or the flood was none. */
async function measureFlooded(
  gateway: GatewayProcess,
  sender: Sender,
  flooder: Sender,
  key: string,
): Promise<Round> {
  const forMs = roundMs + 2 * marginMs
  const flood = flooder.send({
    url: `${gateway.dataUrl}/v1/chat/completions`,
    key,
    keys: 'bogus',
    perSecond: bogusPerSecond,
    forMs,
  })
  await sleep(marginMs)
  const round = await measure(gateway, sender, key)
  const report = await flood
  const refused = expectOnly(report, 401)
  if (refused < (bogusPerSecond * forMs) / 1000 - bogusPerSecond)
    throw new Error(`only ${refused} bogus keys were sent: this machine is too busy to prove anything`)
  return round
}

function startSender(): Sender {
  const child = fork(join(import.meta.dirname, 'sender.ts'), { execArgv: ['--conditions=source'] })
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the sender ended with ${code}`)
  })
  return {
    async send(task) {
      const reported = once(child, 'message')
      child.send(task)
      const [report] = await Promise.race([reported, ended])
      return report
    },
    async stop() {
      child.disconnect()
      await ended.catch(() => undefined)
    },
  }
}

/** How many answers there were, all with this status. Throws where there were others. */
function expectOnly({ statuses }: SenderReport, status: number): number {
  const [only] = statuses
  if (statuses.length !== 1 || only?.[0] !== status) throw new Error(`answers: ${JSON.stringify(statuses)}`)
  return only[1]
}

/** Microseconds of the gateway's CPU time. Its fixed work is in both rounds. */
function costOfBogusKey(alone: Round, flooded: Round): number | null {
  if (alone.cpu === null || flooded.cpu === null) return null
  return ((flooded.cpu - alone.cpu) * 1000) / ((bogusPerSecond * roundMs) / 1000)
}

async function mintKey({ dataDirectory, adminUrl }: GatewayProcess): Promise<string> {
  const token = readAdminToken(dataDirectory)?.reveal() ?? ''
  const post = async (path: string, body: unknown): Promise<unknown> => {
    const response = await fetch(`${adminUrl}/api${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    if (!response.ok) throw new Error(await response.text())
    return response.json()
  }
  await post('/provider-keys', { name: 'simulator', provider: 'simulator' })
  return mintedProxyKeyWire.parse(await post('/keys', { name: 'measured', providerKeys: ['simulator'] })).key
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.POSITIVE_INFINITY
}

function ms(value: number): string {
  return `${value.toFixed(2)} ms`
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
