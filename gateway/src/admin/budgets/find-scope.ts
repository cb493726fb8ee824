import { type Database, isUuid, LatchkeyError, type OrganizationId, type ScopeKind } from '@latchkey/shared'
import { type Kysely, sql } from 'kysely'

interface Found {
  readonly id: string
  readonly matches: 'id' | 'name'
  readonly live: boolean
}

const nouns: Readonly<Record<ScopeKind, string>> = {
  key: 'proxy key',
  group: 'group',
  organization: 'organization',
  provider_key: 'provider key',
}

/**
 * The id of the scope that `reference` means: an id, or the name of one alone (revoked keys count only if no other
 * has it). For the organization it may be left out. Throws `invalid_request`, naming `scopeId`.
 */
export async function findScope(
  database: Kysely<Database>,
  organizationId: OrganizationId,
  kind: ScopeKind,
  reference: string | undefined,
): Promise<string> {
  if (kind === 'organization' && (reference === undefined || reference === organizationId))
    return organizationId
  if (reference === undefined) throw refuse(`scopeId is required: the id or the name of a ${nouns[kind]}.`)
  const candidates = await readCandidates(database, organizationId, kind, reference)
  const [byId] = candidates.filter((candidate) => candidate.matches === 'id')
  if (byId !== undefined) return byId.id
  const live = candidates.filter((candidate) => candidate.live)
  const [found, another] = live.length > 0 ? live : candidates
  if (found === undefined) throw refuse(`scopeId must be the id or the name of a ${nouns[kind]}.`)
  if (another === undefined) return found.id
  throw refuse(`Several ${nouns[kind]}s have this name. scopeId must be an id.`)
}

async function readCandidates(
  database: Kysely<Database>,
  organizationId: OrganizationId,
  kind: ScopeKind,
  reference: string,
): Promise<readonly Found[]> {
  const { rows } = await candidates(organizationId, kind, reference).execute(database)
  return rows
}

function candidates(organizationId: OrganizationId, kind: ScopeKind, reference: string) {
  const uuid = isUuid(reference) ? reference : null
  switch (kind) {
    case 'key':
      return sql<Found>`
        select id, case when id = ${reference} then 'id' else 'name' end as matches, status <> 'revoked' as live
        from proxy_key where organization_id = ${organizationId} and (id = ${reference} or name = ${reference})`
    case 'group':
      return sql<Found>`
        select id::text, case when id = ${uuid}::uuid then 'id' else 'name' end as matches, true as live
        from proxy_group where organization_id = ${organizationId} and (id = ${uuid}::uuid or name = ${reference})`
    case 'provider_key':
      return sql<Found>`
        select id::text, case when id = ${uuid}::uuid then 'id' else 'name' end as matches, true as live
        from provider_key where organization_id = ${organizationId} and (id = ${uuid}::uuid or name = ${reference})`
    case 'organization':
      return sql<Found>`
        select id::text, 'name' as matches, true as live
        from organization where id = ${organizationId} and name = ${reference}`
    default:
      return kind satisfies never
  }
}

function refuse(message: string): LatchkeyError {
  return new LatchkeyError('invalid_request', { message, param: 'scopeId' })
}
