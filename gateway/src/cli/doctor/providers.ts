import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { errorCode } from '@latchkey/shared'
import { simulatorHost } from '../../providers/simulator/simulator.ts'
import { type Finding, fail, ok } from './finding.ts'
import type { Situation } from './situation.ts'

const deadlineMs = 5000

/** Whether the origins of the stored provider keys can be connected to from here. No request is sent, no key is used. */
export async function checkProviders({ gateway }: Situation): Promise<readonly Finding[]> {
  if (gateway.kind !== 'running') return []
  const origins = new Set(gateway.providerKeys.map((key) => new URL(key.baseUrl).origin))
  const reached = [...origins].filter((origin) => new URL(origin).hostname !== simulatorHost)
  return Promise.all(reached.map(checkOrigin))
}

async function checkOrigin(origin: string): Promise<Finding> {
  const { hostname, port, protocol } = new URL(origin)
  const host = hostname.replace(/^\[|\]$/g, '')
  const tls = protocol === 'https:'
  const begun = performance.now()
  const socket = tls
    ? connectTls({ host, port: Number(port || 443), servername: host })
    : connectTcp({ host, port: Number(port || 80) })
  try {
    await once(socket, tls ? 'secureConnect' : 'connect', { signal: AbortSignal.timeout(deadlineMs) })
    return ok('provider', `${origin} accepts connections (${Math.round(performance.now() - begun)} ms)`)
  } catch (error) {
    return fail(
      'provider',
      `${origin} can't be connected to (${reason(error)})`,
      'Look at the network, the proxy and the firewall of this machine, or at the base URL.',
    )
  } finally {
    socket.destroy()
  }
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error'
  if (error.name === 'AbortError') return `no answer in ${deadlineMs / 1000} s`
  return errorCode(error) ?? error.message
}
