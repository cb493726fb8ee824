// Proves that bogus keys cost paying users little: `npm run prove-bogus-keys`. It measures the time that a valid
// key's requests take, alone and under 1,000 bogus keys a second, in turn, and fails where the p99 doubles.
import { once } from 'node:events'
import { createHistogram } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { mintedProxyKeyWire } from '@latchkey/shared'
import { readAdminToken } from '../../gateway/src/admin/token.ts'
import { startGatewayProcess } from '../cli/latchkey-process.ts'
import { bogusKey } from '../support/bogus-keys.ts'
import { sendSteadily } from './send-steadily.ts'

const rounds = 5
const roundMs = 4000
const validPerSecond = 200
const bogusPerSecond = 1000
const mostRatio = 2

if (isMainThread) process.exitCode = await prove()
else await flood(workerData.url, workerData.key)

async function prove(): Promise<number> {
  const gateway = await startGatewayProcess()
  try {
    const key = await mintKey(gateway.dataDirectory, gateway.adminUrl)
    // Both ways once, unmeasured: the first seconds of either are the compiler's.
    const stopWarmUp = await startFlood(gateway.dataUrl, key)
    await measure(gateway.dataUrl, key)
    await stopWarmUp()
    const ratios: number[] = []
    for (let round = 1; round <= rounds; round++) {
      const alone = await measure(gateway.dataUrl, key)
      const stopFlood = await startFlood(gateway.dataUrl, key)
      const flooded = await measure(gateway.dataUrl, key)
      const perSecond = await stopFlood()
      ratios.push(flooded.p99 / alone.p99)
      print(
        `round ${round}: p99 alone ${ms(alone.p99)}, under ${Math.round(perSecond)} bogus keys/s ${ms(flooded.p99)}` +
          ` (p50 ${ms(alone.p50)}, ${ms(flooded.p50)}): ${(flooded.p99 / alone.p99).toFixed(2)} times`,
      )
    }
    const median = ratios.toSorted((a, b) => a - b)[Math.floor(rounds / 2)] ?? Number.POSITIVE_INFINITY
    print(`median: ${median.toFixed(2)} times; it must be under ${mostRatio}`)
    return median < mostRatio ? 0 : 1
  } finally {
    await gateway.discard()
  }
}

/** Quantiles, in milliseconds, of the time that one round of a valid key's requests takes. Throws where one is refused. */
async function measure(url: string, key: string): Promise<{ readonly p50: number; readonly p99: number }> {
  const histogram = createHistogram()
  const { statuses } = await sendSteadily({
    url: `${url}/v1/chat/completions`,
    perSecond: validPerSecond,
    key: () => key,
    until: performance.now() + roundMs,
    took: (milliseconds) => histogram.record(Math.max(1, Math.round(milliseconds * 1000))),
  })
  if (statuses.size !== 1 || !statuses.has(200)) throw new Error(`answers: ${JSON.stringify([...statuses])}`)
  return { p50: histogram.percentile(50) / 1000, p99: histogram.percentile(99) / 1000 }
}

/** Floods from a thread of its own, so that it doesn't slow the clock of what is measured. The result stops it and gives its rate. */
async function startFlood(url: string, key: string): Promise<() => Promise<number>> {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { url, key } })
  const begun = await once(worker, 'message').then(() => performance.now())
  return async () => {
    const elapsed = performance.now() - begun
    worker.postMessage('stop')
    const [refused] = await once(worker, 'message')
    return (Number(refused) / elapsed) * 1000
  }
}

async function flood(url: string, key: string): Promise<void> {
  let stopped = false
  parentPort?.once('message', () => {
    stopped = true
  })
  let index = 0
  const { statuses } = await sendSteadily({
    url: `${url}/v1/chat/completions`,
    perSecond: bogusPerSecond,
    key: () => {
      if (index === 0) parentPort?.postMessage('begun')
      return bogusKey(key, index++)
    },
    until: () => stopped,
  })
  if (statuses.size !== 1 || !statuses.has(401)) throw new Error(`answers: ${JSON.stringify([...statuses])}`)
  parentPort?.postMessage(statuses.get(401))
}

async function mintKey(dataDirectory: string, adminUrl: string): Promise<string> {
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

function ms(value: number): string {
  return `${value.toFixed(2)} ms`
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
