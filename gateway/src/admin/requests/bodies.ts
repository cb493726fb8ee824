import {
  type Database,
  LatchkeyError,
  type Log,
  type OrganizationId,
  type RequestBodiesWire,
  type RequestBodyWire,
} from '@latchkey/shared'
import type { BodyPlace, Vault } from '@latchkey/vault'
import type { Kysely } from 'kysely'
import { decodeBody } from '../../capture/body-text.ts'
import { findRequest, sealedBodies } from './queries.ts'
import { readRequestId } from './request-id.ts'

/** What reading bodies needs. */
export interface BodySurroundings {
  readonly vault: Vault
  readonly database: Kysely<Database>
  readonly organizationId: OrganizationId
  readonly log: Log
}

/**
 * The bodies that were kept of a request; reading them is noted in the log before. Throws `not_found`, `vault_sealed`,
 * and `internal_error` where a row was changed outside the vault.
 */
export async function readBodies(
  { vault, database, organizationId, log }: BodySurroundings,
  which: string,
): Promise<RequestBodiesWire> {
  const requestId = readRequestId(which)
  const rows = await sealedBodies(database, organizationId, requestId)
  if (rows.length === 0 && (await findRequest(database, organizationId, requestId)) === undefined)
    throw new LatchkeyError('not_found', { message: 'There is no request of this id.', param: 'id' })
  if (vault.sealed) throw new LatchkeyError('vault_sealed')
  if (rows.length > 0) log.info('request.bodies_read', { requestId })
  const bodies: { request: RequestBodyWire | null; response: RequestBodyWire | null } = {
    request: null,
    response: null,
  }
  for (const { direction, envelope } of rows)
    bodies[direction] = await open(vault, log, { organizationId, requestId, direction }, envelope)
  return bodies
}

async function open(
  vault: Vault,
  log: Log,
  place: BodyPlace,
  envelope: Uint8Array,
): Promise<RequestBodyWire> {
  const opened = await vault.bodies.open(place, envelope)
  const body = opened.kind === 'opened' ? decodeBody(opened.plaintext) : null
  if (body !== null) return body
  log.error('request.body_damaged', { requestId: place.requestId, state: place.direction })
  throw new LatchkeyError('internal_error', {
    message: `The ${place.direction} body was changed outside the vault, or its key is gone: it does not open.`,
  })
}
