// What metrics cost a request, and what traces do where they are on. `npm run prove-metrics`
import {
  nanoUsd,
  type OrganizationId,
  type ProviderKeyId,
  type ProxyKeyId,
  type RequestId,
  systemClock,
  systemRandom,
} from '@latchkey/shared'
import type { BoundProviderKey, SealedProviderKey } from '@latchkey/vault'
import { RequestMetrics } from '../../gateway/src/metrics/request-metrics.ts'
import { openai } from '../../gateway/src/providers/openai/openai.ts'
import type { AttemptEnd } from '../../gateway/src/proxy/attempt-end.ts'
import { OwnTime } from '../../gateway/src/proxy/own-time.ts'
import type { RequestRecord } from '../../gateway/src/records/request-record.ts'
import { RequestTracer } from '../../gateway/src/traces/request-tracer.ts'

const rounds = 1_000_000
const mostNanoseconds = 2_000
const mostBytes = 16

const usage = {
  inputTokens: 1200,
  cachedInputTokens: 1024,
  outputTokens: 300,
  reasoningTokens: 0,
  inputAudioTokens: null,
  outputAudioTokens: null,
}
const record: RequestRecord = {
  id: '00000000-0000-7000-8000-000000000000' as RequestId,
  organizationId: 'school' as OrganizationId,
  keyId: 'aaaaaaaaaaaa' as ProxyKeyId,
  keyName: 'ada',
  groupId: null,
  providerKeyId: 'main' as ProviderKeyId,
  provider: 'openai',
  method: 'POST',
  endpoint: '/v1/chat/completions',
  model: 'gpt-4o-mini',
  responseModel: 'gpt-4o-mini-2024-07-18',
  status: 200,
  code: null,
  attempts: 1,
  usage,
  usageMissing: false,
  streamed: true,
  disconnected: false,
  truncated: false,
  requestBytes: 5000,
  responseBytes: 40_000,
  timeToFirstByteMs: 412.5,
  durationMs: 6_204.25,
  clientIp: '127.0.0.1',
  userId: null,
  sessionId: null,
  properties: {},
  startedAt: Date.UTC(2026, 0, 1),
  cost: nanoUsd(360_000n),
  held: nanoUsd(1_000_000n),
  estimated: false,
  priceVersion: '2026-01-01',
  settlements: [],
}

const providerKey: BoundProviderKey = {
  id: 'main' as ProviderKeyId,
  name: 'main',
  organizationId: 'school' as OrganizationId,
  provider: 'openai',
  baseUrl: 'https://api.openai.com/v1',
  budgets: [],
  limits: [],
  sealed: {} as SealedProviderKey,
}
const asks = { together: [], alone: [] }
const candidate = { providerKey, provider: openai, budgets: [], shownBudgets: [], asks }
const answered: AttemptEnd = {
  kind: 'answered',
  answer: {
    status: 200,
    streamed: true,
    reading: { usage, model: record.responseModel, consumption: null },
    usageMissing: false,
    whole: true,
    truncated: false,
    disconnected: false,
    revoked: false,
    bytes: 40_000,
    firstByteAt: 1,
  },
}
const rawHeaders = [
  ...[
    'host',
    'gateway',
    'user-agent',
    'an SDK',
    'accept',
    'application/json',
    'content-type',
    'application/json',
  ],
  ...['authorization', 'Bearer a key', 'x-stainless-lang', 'js', 'x-stainless-runtime', 'node'],
]

/** Nanoseconds of CPU for one round: others on the machine don't count. */
function cost(round: () => void): number {
  const before = process.cpuUsage()
  for (let made = 0; made < rounds; made++) round()
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1_000) / rounds
}

/** A request's stopwatch, as it is used where nothing is retried. */
function stopwatch(): void {
  const ownTime = new OwnTime(systemClock, systemClock.monotonic())
  ownTime.rest()
  ownTime.go()
  ownTime.rest()
  ownTime.go()
  if (ownTime.milliseconds < 0) throw new Error('time went back')
}

const metrics = new RequestMetrics()
const count = () => metrics.ended(record, 'main', 0.25)
cost(count)
cost(stopwatch)
const heap = process.memoryUsage().heapUsed
const counting = cost(count)
const bytes = (process.memoryUsage().heapUsed - heap) / rounds
const timing = cost(stopwatch)

// Spans are thrown away here: making them into text and sending them is done behind the requests' backs.
const sink = { add: () => {} }
const tracer = new RequestTracer({ sink, clock: systemClock, random: systemRandom, ratio: 1 })
const trace = () => {
  const followed = tracer.follow(rawHeaders, record.startedAt, systemClock.monotonic())
  followed.attempt(candidate)?.end(answered)
  followed.end(record)
}
cost(trace)
const tracing = cost(trace)

const write = (line: string) => process.stdout.write(`${line}\n`)
write(
  `counted and timed: ${(counting + timing).toFixed(0)} ns of CPU a request (${counting.toFixed(0)} + ${timing.toFixed(0)})`,
)
write(`of the heap: ${bytes.toFixed(1)} bytes a request`)
write(`traced, where tracing is on: ${tracing.toFixed(0)} ns more`)
process.exitCode = counting + timing <= mostNanoseconds && bytes <= mostBytes ? 0 : 1
