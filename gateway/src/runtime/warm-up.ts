import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import {
  type BudgetId,
  type Clock,
  type OrganizationId,
  type ProviderKeyId,
  type ProxyKeyId,
  Secret,
  type StoredLimit,
} from '@latchkey/shared'
import { type BoundProviderKey, openPolicy, type Principal, type Verification } from '@latchkey/vault'
import { createDataPlane } from '../data-plane.ts'
import type { HolderPorts } from '../holder/serve-key.ts'
import { simulator } from '../providers/simulator/simulator.ts'
import { InFlight } from '../proxy/in-flight.ts'
import type { Observer } from '../proxy/observer.ts'
import type { ProxyPorts } from '../proxy/pipeline.ts'
import type { Recorder } from '../records/recorder.ts'

type WarmPorts = ProxyPorts & HolderPorts

const longestMs = 200
const mostRequests = 400
const lanes = 8
const goodKey = 'warm-up'
const bogusKey = 'bogus'

/**
 * Sends requests through the proxy path until it is compiled, for 200 ms at the most: the first
 * users of a cold process would wait hundreds of milliseconds. They go to the simulator over private
 * sockets, with a key that exists nowhere, and leave no record. No provider is called.
 */
export async function warmUp(ports: WarmPorts, directory: string, clock: Clock): Promise<void> {
  // Shorter than the name of Postgres's socket, whose directory was chosen so that its path fits.
  const socketPath = join(directory, 'warm.sock')
  // A gateway that was killed right here has left its own.
  await rm(socketPath, { force: true })
  const server = createDataPlane(
    warmPorts(ports),
    () => ({ status: 'ready', mode: 'embedded' }),
    longestMs * 10,
  )
  // This process's own, where several workers listen together.
  server.listen({ path: socketPath, exclusive: true })
  await once(server, 'listening')
  const agent = new Agent({ keepAlive: true, maxSockets: lanes })
  const deadline = clock.monotonic() + longestMs
  let sent = 0
  const lane = async () => {
    while (sent < mostRequests && clock.monotonic() < deadline) {
      const turn = sent++ % 8
      await oneRequest(agent, socketPath, turn === 7 ? bogusKey : goodKey, turn % 4 === 0)
    }
  }
  try {
    await Promise.all(Array.from({ length: lanes }, lane))
  } finally {
    agent.destroy()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

function oneRequest(agent: Agent, socketPath: string, key: string, stream: boolean): Promise<void> {
  const body = JSON.stringify({
    model: 'warm-up',
    stream,
    max_tokens: 20,
    messages: [{ role: 'user', content: 'warm up' }],
  })
  return new Promise((resolve, reject) => {
    const sending = request(
      {
        agent,
        socketPath,
        method: 'POST',
        path: '/v1/chat/completions',
        headers: {
          authorization: `Bearer ${key}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
      },
      (response) => response.resume().once('end', resolve).once('error', reject),
    )
    sending.once('error', reject).end(body)
  })
}

/** The real path on made-up keys: nothing is asked of the vault, nothing reaches the database. */
function warmPorts(ports: WarmPorts): WarmPorts {
  const providerKey = {
    id: 'warm-up' as ProviderKeyId,
    name: 'warm-up',
    organizationId: 'warm-up' as OrganizationId,
    provider: simulator.name,
    baseUrl: simulator.defaultBaseUrl ?? '',
    budgets: [] as readonly BudgetId[],
    limits: [] as readonly StoredLimit[],
  } as BoundProviderKey
  const principal: Principal = Object.freeze({
    keyId: 'warm-up' as ProxyKeyId,
    keyName: 'warm-up',
    organizationId: 'warm-up' as OrganizationId,
    status: 'active',
    expiresAt: null,
    policy: openPolicy,
    group: null,
    budgets: [],
    providerKeys: [providerKey],
  })
  const verified = { kind: 'verified', principal } as const
  // A flood of these must find a path that is compiled, too.
  const refused = { kind: 'refused', reason: 'unknown' } as const
  const judge = (token: string): Verification => (token === bogusKey ? refused : verified)
  return {
    ...ports,
    verifier: { lookup: judge, verify: async (token) => judge(token) },
    vault: { openProviderKey: () => ({ kind: 'opened', secret: new Secret('warm-up') }) },
    recorder: unrecorded,
    observer: unobserved,
    tracer: null,
    inFlight: new InFlight(),
  }
}

const unobserved: Observer = { refused: () => {}, ended: () => {} }

const unrecorded: Recorder = {
  reserve: () => true,
  release: () => {},
  record: () => {},
  recordRefusal: () => {},
  countRefusal: () => {},
  close: async () => {},
}
