import type { Migration } from './migration.ts'

/**
 * Request records by day, so that those whose time is over go by dropping a table, and the letters that Postgres
 * would not take.
 *
 * No row is copied: the table that is there becomes the partition of all that was before tomorrow. Rows whose ids
 * are of tomorrow or later, as a clock that is ahead makes them, move to the default partition.
 */
export const requestPartitions: Migration = {
  name: '0006-request-partitions',
  sql: `
ALTER TABLE request RENAME TO request_before;
ALTER INDEX request_pkey RENAME TO request_before_pkey;
ALTER INDEX request_by_proxy_key RENAME TO request_before_by_proxy_key;
ALTER INDEX request_by_recording RENAME TO request_before_by_recording;

CREATE TABLE request (LIKE request_before INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE INDEX request_by_proxy_key ON request (proxy_key_id, id);
CREATE INDEX request_by_recording ON request (recorded_in, id);
CREATE TABLE request_default PARTITION OF request DEFAULT;

DO $$
DECLARE
  midnight timestamp := date_trunc('day', statement_timestamp() AT TIME ZONE 'UTC') + interval '1 day';
  tomorrow uuid := (lpad(to_hex((extract(epoch FROM midnight) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid;
BEGIN
  IF NOT EXISTS (SELECT FROM request_before) THEN
    DROP TABLE request_before;
    RETURN;
  END IF;
  WITH ahead AS (DELETE FROM request_before WHERE id >= tomorrow RETURNING *)
  INSERT INTO request SELECT * FROM ahead;
  EXECUTE format('ALTER TABLE request ATTACH PARTITION request_before FOR VALUES FROM (MINVALUE) TO (%L)', tomorrow);
END $$;

CREATE TABLE dead_letter (
  id uuid PRIMARY KEY,
  record text NOT NULL,
  reason text NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX dead_letter_by_age ON dead_letter (created_at);
`,
}
