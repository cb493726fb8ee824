// The least that a gateway with a vault and books can be on this stack: the bare proxy, which opens its provider key for
// each request and writes a record of each to Postgres, by the gateway's own code. No policy, limit, budget, retry or
// timeout. What is between it and the gateway in the report is the most that a better gateway could save.
import {
  createLog,
  type DeploymentId,
  nanoUsd,
  type OrganizationId,
  type ProviderKeyId,
  type ProxyKeyId,
  parseDatabaseUrl,
  type RequestId,
  Secret,
  systemClock,
  systemRandom,
  uuidv7,
} from '@latchkey/shared'
import { connectDatabase, migrate, migrations } from '@latchkey/shared/database'
import { insertRows } from '../gateway/src/records/batch-insert.ts'
import { batchRows } from '../gateway/src/records/batch-writer.ts'
import { LastUses } from '../gateway/src/records/last-uses.ts'
import { flushMs } from '../gateway/src/records/queue-recorder.ts'
import { type RecordRow, rowOf } from '../gateway/src/records/record-row.ts'
import { keyLength } from '../vault/src/aead.ts'
import { Keyring } from '../vault/src/keyring.ts'
import { RecordKeys } from '../vault/src/record-keys.ts'
import { openProviderKey, prepareProviderKey, sealProviderKey } from '../vault/src/sealed-provider-key.ts'
import { type Ended, serveBare } from './bare.ts'

const { DATABASE_URL = '', PROVIDER = '', PROVIDER_KEY = '' } = process.env

const deployment = uuidv7<DeploymentId>(systemClock, systemRandom)
const organization = uuidv7<OrganizationId>(systemClock, systemRandom)
const providerKey = uuidv7<ProviderKeyId>(systemClock, systemRandom)

const keyring = new Keyring()
keyring.load([{ purpose: 'secret', version: 1, state: 'active', bytes: systemRandom(keyLength) }])
const columns = {
  id: providerKey,
  organization_id: organization,
  provider: 'openai',
  base_url: `${PROVIDER}/v1`,
  secret_version: 1,
}
const envelope = sealProviderKey(keyring, deployment, columns, new Secret(PROVIDER_KEY), systemRandom)
const sealed = prepareProviderKey(deployment, columns, envelope)
const recordKeys = new RecordKeys()

function openKey(): string {
  const opened = openProviderKey(keyring, recordKeys, sealed)
  if (opened.kind !== 'opened') throw new Error(`the provider key is ${opened.kind}`)
  return opened.secret.reveal()
}

const log = createLog('warn')
const { pool } = connectDatabase({
  connection: parseDatabaseUrl(new Secret(DATABASE_URL)),
  maxConnections: 1,
  statementTimeoutMs: 30_000,
  applicationName: 'latchkey-bench-floor',
  log,
})
await migrate(pool, migrations, { clock: systemClock, log })

// No keys stand in this database, so that no last use is noted, and no money settles: the gateway's own statements do more.
const lastUses = new LastUses()
let queue: RecordRow[] = []

/** A batch that fails ends the process, and the measurement with it. */
async function writeRecords(): Promise<void> {
  while (queue.length > 0) {
    const rows = queue.slice(0, batchRows)
    queue = queue.slice(batchRows)
    await insertRows(pool, rows, lastUses)
  }
  setTimeout(writeRecords, flushMs)
}

function note({ model, status, streamed, requestBytes, responseBytes, started, usage }: Ended): void {
  const durationMs = performance.now() - started
  queue.push(
    rowOf({
      id: uuidv7<RequestId>(systemClock, systemRandom),
      organizationId: organization,
      keyId: 'floor0000000' as ProxyKeyId,
      keyName: 'floor',
      groupId: null,
      providerKeyId: providerKey,
      provider: 'openai',
      method: 'POST',
      endpoint: '/v1/chat/completions',
      model,
      responseModel: model,
      status,
      code: null,
      attempts: 1,
      usage: {
        inputTokens: usage.prompt_tokens,
        cachedInputTokens: 0,
        outputTokens: usage.completion_tokens,
        reasoningTokens: 0,
        inputAudioTokens: 0,
        outputAudioTokens: 0,
      },
      usageMissing: false,
      streamed,
      disconnected: false,
      truncated: false,
      requestBytes,
      responseBytes,
      timeToFirstByteMs: durationMs,
      durationMs,
      clientIp: '127.0.0.1',
      userId: null,
      sessionId: null,
      properties: {},
      startedAt: Date.now(),
      cost: nanoUsd(0n),
      held: null,
      estimated: false,
      priceVersion: null,
      settlements: [],
    }),
  )
}

await writeRecords()
serveBare({ providerKey: openKey, ended: note })
