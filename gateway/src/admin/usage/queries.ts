import {
  type Database,
  type GroupId,
  leastUuidv7,
  type NanoUsd,
  type OrganizationId,
  type ProxyKeyId,
  type UsageDimension,
} from '@latchkey/shared'
import { mostBigint } from '@latchkey/shared/database'
import { type Kysely, type RawBuilder, sql } from 'kysely'

/** Which requests are summed, and by what. Moments are milliseconds since the epoch: from the first, before the second. */
export interface UsageAsk {
  readonly organizationId: OrganizationId
  readonly by: UsageDimension
  readonly from: number
  readonly to: number
  readonly key: ProxyKeyId | undefined
  readonly group: GroupId | undefined
  readonly limit: number
}

export interface UsageRow {
  /** The row over all requests. */
  readonly is_total: boolean
  readonly id: string | null
  readonly name: string | null
  readonly requests: bigint
  readonly refused: bigint
  readonly input_tokens: bigint
  readonly cached_input_tokens: bigint
  readonly output_tokens: bigint
  readonly cost_nano: NanoUsd
  readonly estimated_nano: NanoUsd
  readonly unpriced: bigint
  /** How many rows there are, this one aside. */
  readonly rows: bigint
}

const dimensions: Readonly<Record<UsageDimension, RawBuilder<string | null>>> = {
  key: sql`proxy_key_id`,
  group: sql`group_id::text`,
  model: sql`model`,
  day: sql`to_char(started_at at time zone 'UTC', 'YYYY-MM-DD')`,
}

/** What people call a row. A key that is gone goes by the name in its records; the total has none. */
const names: Readonly<Record<UsageDimension, RawBuilder<string | null>>> = {
  key: sql`coalesce((select name from proxy_key where proxy_key.id = sums.id), recorded_name)`,
  group: sql`(select name from proxy_group where proxy_group.id = sums.id::uuid)`,
  model: sql`sums.id`,
  day: sql`sums.id`,
}

/** The total first; then the dearest, or the latest days. Throws the driver's error. */
export async function sumUsage(
  database: Kysely<Database>,
  { organizationId, by, from, to, key, group, limit }: UsageAsk,
): Promise<readonly UsageRow[]> {
  const { rows } = await sql<UsageRow>`
    with sums as (
      select grouping(dimension) = 1 as is_total, dimension as id, max(proxy_key_name) as recorded_name,
        count(*) as requests,
        count(*) filter (where attempts = 0 and code is not null) as refused,
        least(coalesce(sum(input_tokens), 0), ${mostBigint})::bigint as input_tokens,
        least(coalesce(sum(cached_input_tokens), 0), ${mostBigint})::bigint as cached_input_tokens,
        least(coalesce(sum(output_tokens), 0), ${mostBigint})::bigint as output_tokens,
        least(coalesce(sum(cost_nano), 0), ${mostBigint})::bigint as cost_nano,
        least(coalesce(sum(cost_nano) filter (where estimated), 0), ${mostBigint})::bigint as estimated_nano,
        count(*) filter (where cost_nano is null and attempts > 0) as unpriced
      from (
        select ${dimensions[by]} as dimension, request.* from request
        where id >= ${leastUuidv7(from)}::uuid and id < ${leastUuidv7(to)}::uuid
          and organization_id = ${organizationId}
          ${key === undefined ? sql`` : sql`and proxy_key_id = ${key}`}
          ${group === undefined ? sql`` : sql`and group_id = ${group}::uuid`}
      ) as asked
      group by grouping sets ((dimension), ())
    )
    select is_total, id, case when is_total then null else ${names[by]} end as name, requests, refused,
      input_tokens, cached_input_tokens, output_tokens, cost_nano, estimated_nano, unpriced,
      count(*) over () - 1 as rows
    from sums
    order by is_total desc, ${by === 'day' ? sql`id desc` : sql`cost_nano desc, requests desc, id`}
    limit ${limit + 1}`.execute(database)
  return rows
}
