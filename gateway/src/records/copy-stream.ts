import type { DeploymentId, EpochId } from '@latchkey/shared'
import type { Cluster, Redis } from 'ioredis'

export type RedisClient = Redis | Cluster

/** The one field of an entry: rows, as a JSON array. */
export const rowsField = 'rows'
/** In an entry: some 100 KB. */
export const mostRowsTogether = 100

/**
 * The stream that holds the copies of one run of one process. It is named after the epoch, because whoever finds
 * that an epoch has ended knows by that where to look.
 */
export function copyStream(deployment: DeploymentId, epoch: EpochId): string {
  return `latchkey:${deployment}:records:{${epoch}}`
}

/**
 * The id of an entry, by the place of its last row: it goes once all of them are written. Places count up from 0, and
 * the least id that Redis takes is 0-1.
 */
export function entryId(place: number): string {
  return `${place + 1}-0`
}
