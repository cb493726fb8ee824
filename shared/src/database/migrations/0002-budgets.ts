import type { Migration } from './migration.ts'

/** Groups, budgets, their windows, the leases that processes take from them, and what requests cost. */
export const budgets: Migration = {
  name: '0002-budgets',
  sql: `
CREATE TABLE proxy_group (
  id uuid PRIMARY KEY,
  organization_id uuid NOT NULL REFERENCES organization,
  name text NOT NULL,
  description text NOT NULL,
  status text NOT NULL CHECK (status IN ('active', 'paused')),
  limits jsonb NOT NULL,
  revision integer NOT NULL CHECK (revision > 0),
  created_at timestamptz NOT NULL,
  UNIQUE (organization_id, name)
);

ALTER TABLE proxy_key ADD COLUMN group_id uuid REFERENCES proxy_group;
CREATE INDEX proxy_key_by_group ON proxy_key (group_id) WHERE group_id IS NOT NULL;

CREATE TABLE budget (
  id uuid PRIMARY KEY,
  organization_id uuid NOT NULL REFERENCES organization,
  scope_kind text NOT NULL CHECK (scope_kind IN ('key', 'group', 'organization', 'provider_key')),
  scope_id text NOT NULL,
  period text NOT NULL CHECK (period IN ('total', 'day', 'week', 'month')),
  limit_nano bigint NOT NULL CHECK (limit_nano >= 0),
  status text NOT NULL CHECK (status IN ('active', 'paused')),
  thresholds smallint[] NOT NULL,
  revision integer NOT NULL CHECK (revision > 0),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  UNIQUE (scope_kind, scope_id, period)
);

-- Rows are locked in the order of their ids. What has settled, is leased out or was left behind by a dead
-- process never exceeds the ceiling; what exceeded it in the real world stands in overage.
CREATE TABLE budget_window (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  budget_id uuid NOT NULL REFERENCES budget,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz,
  limit_nano bigint NOT NULL CHECK (limit_nano >= 0),
  ceiling_nano bigint NOT NULL,
  paused boolean NOT NULL,
  settled_nano bigint NOT NULL DEFAULT 0 CHECK (settled_nano >= 0),
  leased_nano bigint NOT NULL DEFAULT 0 CHECK (leased_nano >= 0),
  unsettled_nano bigint NOT NULL DEFAULT 0 CHECK (unsettled_nano >= 0),
  overage_nano bigint NOT NULL DEFAULT 0 CHECK (overage_nano >= 0),
  revision bigint NOT NULL DEFAULT 1,
  CHECK (ends_at > starts_at),
  CHECK (settled_nano + leased_nano + unsettled_nano <= ceiling_nano),
  UNIQUE (budget_id, starts_at)
) WITH (fillfactor = 50);

CREATE TABLE budget_crossing (
  window_id bigint NOT NULL REFERENCES budget_window ON DELETE CASCADE,
  percent smallint NOT NULL,
  crossed_at timestamptz NOT NULL,
  PRIMARY KEY (window_id, percent)
);

CREATE TABLE process_epoch (
  id uuid PRIMARY KEY,
  counter bigint NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at timestamptz
) WITH (fillfactor = 50);
CREATE INDEX process_epoch_alive ON process_epoch (id) WHERE ended_at IS NULL;

CREATE TABLE lease (
  id uuid PRIMARY KEY,
  epoch_id uuid NOT NULL REFERENCES process_epoch,
  window_id bigint NOT NULL REFERENCES budget_window,
  granted_nano bigint NOT NULL CHECK (granted_nano >= 0),
  outstanding_nano bigint NOT NULL CHECK (outstanding_nano >= 0),
  version bigint NOT NULL CHECK (version > 0),
  state text NOT NULL CHECK (state IN ('open', 'returned', 'swept', 'released')),
  swept_at timestamptz,
  CHECK (outstanding_nano <= granted_nano),
  CHECK (outstanding_nano = 0 OR state IN ('open', 'swept')),
  CHECK ((swept_at IS NOT NULL) = (state IN ('swept', 'released')))
) WITH (fillfactor = 50);
CREATE INDEX lease_open ON lease (epoch_id) WHERE state = 'open';
CREATE INDEX lease_unsettled ON lease (window_id) WHERE state = 'swept';

ALTER TABLE request ADD COLUMN cost_nano bigint;
ALTER TABLE request ADD COLUMN held_nano bigint;
ALTER TABLE request ADD COLUMN estimated boolean NOT NULL DEFAULT false;
ALTER TABLE request ADD COLUMN price_version text;
ALTER TABLE request ADD COLUMN settlements jsonb NOT NULL DEFAULT '[]';
`,
}
