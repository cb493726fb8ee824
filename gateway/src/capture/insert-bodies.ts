import type { BodyPlace } from '@latchkey/vault'
import type pg from 'pg'

/** A body as it is stored. */
export interface SealedBody extends BodyPlace {
  readonly envelope: Buffer
}

/**
 * One parameter a value, since those are sent as the bytes that they are: an array of envelopes would become a text of
 * twice their size first, in our event loop. A body may come twice where an answer of Postgres was lost: the first stays.
 */
function insertOf(count: number): { readonly name: string; readonly text: string } {
  const rows = Array.from({ length: count }, (_, row) => {
    const first = row * 4
    return `($${first + 1}, $${first + 2}, $${first + 3}, $${first + 4})`
  })
  return {
    name: `insert-bodies-${count}`,
    text: `INSERT INTO request_body (id, direction, organization_id, envelope) VALUES ${rows.join(', ')}
           ON CONFLICT (id, direction) DO NOTHING`,
  }
}

const mostMoves = 5

/** Writes some sealed bodies, a hundred at the most, in one statement. Throws the driver's error; then none is written. */
export async function insertBodies(pool: pg.Pool, bodies: readonly SealedBody[]): Promise<void> {
  if (bodies.length === 0) return
  const insert = insertOf(bodies.length)
  const values = bodies.flatMap(({ requestId, direction, organizationId, envelope }) => [
    requestId,
    direction,
    organizationId,
    envelope,
  ])
  for (let moves = 0; ; moves++) {
    try {
      await pool.query({ ...insert, values })
      return
    } catch (error) {
      // The partition of its day was made in the same moment: it finds its way when it is repeated.
      if (moves === mostMoves || !(error instanceof Error && 'code' in error && error.code === '23514'))
        throw error
    }
  }
}
