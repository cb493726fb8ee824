import type { Database, NanoUsd, ProxyKeyId } from '@latchkey/shared'
import { mostBigint } from '@latchkey/shared/database'
import { type Kysely, sql } from 'kysely'

/** What a key has used of one model. */
export interface ModelUse {
  /** As it was asked for; null where the request named none. */
  readonly model: string | null
  readonly requests: bigint
  readonly inputTokens: bigint
  readonly outputTokens: bigint
  readonly cost: NanoUsd
}

const mostModels = 100

/** What a key has sent, by model, dearest first: 100 models at the most. Throws the driver's error. */
export async function readModelUse(
  database: Kysely<Database>,
  key: ProxyKeyId,
): Promise<readonly ModelUse[]> {
  const { rows } = await sql<ModelUse>`
    select model, count(*) as requests,
      least(coalesce(sum(input_tokens), 0), ${mostBigint})::bigint as "inputTokens",
      least(coalesce(sum(output_tokens), 0), ${mostBigint})::bigint as "outputTokens",
      least(coalesce(sum(cost_nano), 0), ${mostBigint})::bigint as cost
    from request where proxy_key_id = ${key} and attempts > 0
    group by model order by cost desc, requests desc limit ${mostModels}`.execute(database)
  return rows
}
