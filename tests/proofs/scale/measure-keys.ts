import { randomBytes, randomUUID } from 'node:crypto'
import {
  createLog,
  type DeploymentId,
  type OrganizationId,
  type ProxyKeyId,
  Secret,
  type StoredLimit,
  systemClock,
} from '@latchkey/shared'
import { ScopeBook } from '../../../gateway/src/limits/redis/scope-book.ts'
import { Argon2Guard } from '../../../vault/src/argon2.ts'
import { ChangeFeed } from '../../../vault/src/changes.ts'
import { Pepper } from '../../../vault/src/pepper.ts'
import { Principals } from '../../../vault/src/principal.ts'
import { selectBoundProviderKeys, selectWithScopes } from '../../../vault/src/proxy-key-row.ts'
import { defaultSnapshotLimits, Snapshots } from '../../../vault/src/snapshots.ts'
import { memoryInUse } from '../../support/memory.ts'
import { timed } from './measure-leases.ts'
import type { ScratchDatabase } from './scratch-database.ts'

const batch = 200
const argon2Runs = 30

/** What keys cost one process. */
export interface KeyFigures {
  readonly keys: number
  /** A snapshot of a key in a group, with a policy, limits and three budgets. */
  readonly bytesPerSnapshot: number
  /** Two limits of a key, shared over Redis. */
  readonly bytesPerLimitedKey: number
  /** Read by their ids, 200 by two statements, one after the other. */
  readonly rowsReadPerSecond: number
  /** Milliseconds of a core for one argon2id. */
  readonly argon2Ms: number
}

/** Makes so many keys by SQL alone, and reads each into a snapshot as a verifier does. */
export async function measureKeys(
  { main }: ScratchDatabase,
  organization: OrganizationId,
  keys: number,
): Promise<KeyFigures> {
  await addKeys(main.pool, organization, keys)
  const ids = (
    await main.pool.query<{ id: ProxyKeyId }>('SELECT id FROM proxy_key WHERE organization_id = $1', [
      organization,
    ])
  ).rows.map(({ id }) => id)
  const changes = new ChangeFeed({
    db: main.kysely,
    listener: undefined,
    clock: systemClock,
    log: createLog('silent'),
  })
  const snapshots = new Snapshots(changes, systemClock, {
    ...defaultSnapshotLimits,
    snapshots: keys,
    accepted: keys,
  })
  const principals = new Principals(randomUUID() as DeploymentId)
  const before = memoryInUse()
  const readingMs = await timed(async () => {
    for (let from = 0; from < ids.length; from += batch) {
      const rows = await selectWithScopes(main.kysely)
        .where('id', 'in', ids.slice(from, from + batch))
        .execute()
      const bound = await selectBoundProviderKeys(main.kysely)
        .where('id', 'in', [...new Set(rows.flatMap((row) => row.bindings))])
        .execute()
      const providerKeys = new Map(bound.map((key) => [key.id, key]))
      for (const row of rows) {
        const principal = principals.of({ row, providerKeys })
        if (principal === undefined) throw new Error('a key of the proof can not be read')
        const name = randomBytes(32).toString('base64')
        const verification = Object.freeze({ kind: 'verified' as const, principal })
        snapshots.keep(name, {
          verification,
          generation: 0,
          began: changes.moment(),
          proven: true,
          endsAt: null,
        })
        snapshots.accept(`${name} ${row.verifier.toString('base64')}`)
      }
    }
  })
  const bytesPerSnapshot = (memoryInUse() - before) / keys
  const bytesPerLimitedKey = bytesOfBooks(keys)
  // So that nothing of it was collected before it was weighed.
  if (!snapshots.isAccepted('')) snapshots.wipe()
  return {
    keys,
    bytesPerSnapshot,
    bytesPerLimitedKey,
    rowsReadPerSecond: (keys / readingMs) * 1000,
    argon2Ms: await argon2Ms(),
  }
}

async function addKeys(
  pool: ScratchDatabase['main']['pool'],
  organization: OrganizationId,
  keys: number,
): Promise<void> {
  const [group, provider] = [randomUUID(), randomUUID()]
  const limits = JSON.stringify([
    { unit: 'requests', per: 'minute', limit: 60 },
    { unit: 'tokens', per: 'minute', limit: 600_000 },
  ])
  const policy = `{"models":["gpt-5-nano","gpt-4o*"],"endpoints":null,"allowIps":null,"retries":1,"limits":${limits},"fit":"refuse","capture":false}`
  await pool.query(
    `INSERT INTO proxy_group (id, organization_id, name, description, status, limits, revision, created_at)
     VALUES ($1, $2, 'group', '', 'active', $3, 1, now())`,
    [group, organization, limits],
  )
  await pool.query(
    `INSERT INTO provider_key (id, organization_id, name, provider, base_url, envelope, secret_version, revision, created_at)
     VALUES ($1, $2, $3, 'openai', 'https://api.openai.com/v1', $4, 1, 1, now())`,
    [provider, organization, `provider ${provider}`, randomBytes(250)],
  )
  await pool.query(
    `WITH made AS (
       INSERT INTO proxy_key (id, organization_id, group_id, name, description, tags, policy, status, fingerprint, verifier, verifier_salt,
         pepper_version, row_mac, row_mac_pepper_version, revision, created_at)
       SELECT substr(md5($1::text || n), 1, 12), $1::uuid, $2, 'key ' || n, '', '{}', $3, 'active', sha256(n::text::bytea), sha256(n::text::bytea),
         substr(sha256(n::text::bytea), 1, 16), 1, sha256(n::text::bytea), 1, 1, now() FROM generate_series(1, $4::int) AS n
       RETURNING id
     ),
     bound AS (INSERT INTO proxy_key_binding (proxy_key_id, position, provider_key_id) SELECT id, 0, $5 FROM made)
     INSERT INTO budget (id, organization_id, scope_kind, scope_id, period, limit_nano, status, thresholds, revision, created_at, updated_at)
     SELECT gen_random_uuid(), $1::uuid, 'key', id, 'total', 4000000000, 'active', '{}', 1, now(), now() FROM made`,
    [organization, group, policy, keys, provider],
  )
}

function bytesOfBooks(keys: number): number {
  const limits: readonly StoredLimit[] = [
    { unit: 'requests', per: 'minute', limit: 60 },
    { unit: 'tokens', per: 'minute', limit: 600_000 },
  ]
  const books = new Map<string, ScopeBook>()
  const before = memoryInUse()
  for (let key = 0; key < keys; key++) {
    const book = new ScopeBook('latchkey', { organizationId: 'organization', kind: 'key', id: `key ${key}` })
    book.demand.add(key)
    book.book([...limits])
    books.set(`organization:key:key ${key}`, book)
  }
  const bytes = (memoryInUse() - before) / books.size
  books.clear()
  return bytes
}

/** In time of a core: what other programs take does not count. */
async function argon2Ms(): Promise<number> {
  const guard = new Argon2Guard({ concurrency: 1, queue: argon2Runs })
  const pepper = new Pepper(1, randomBytes(32))
  const secret = new Secret(randomBytes(32).toString('base64'))
  const before = process.cpuUsage()
  for (let run = 0; run < argon2Runs; run++)
    await guard.derive(String(run), { secret, salt: randomBytes(16), pepper })
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000 / argon2Runs
}
