import type { Migration } from './migration.ts'

/** Rate limits of provider keys; captured bodies, sealed, by the same days as the records that they belong to. */
export const limitsAndBodies: Migration = {
  name: '0007-limits-and-bodies',
  sql: `
ALTER TABLE provider_key ADD COLUMN limits jsonb NOT NULL DEFAULT '[]';
ALTER TABLE proxy_group ADD COLUMN capture boolean NOT NULL DEFAULT false;

CREATE TABLE body_key (
  organization_id uuid NOT NULL,
  day integer NOT NULL CHECK (day > 0),
  envelope bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (organization_id, day)
);

CREATE TABLE request_body (
  id uuid NOT NULL,
  direction text NOT NULL CHECK (direction IN ('request', 'response')),
  organization_id uuid NOT NULL,
  envelope bytea NOT NULL,
  PRIMARY KEY (id, direction)
) PARTITION BY RANGE (id);
ALTER TABLE request_body ALTER COLUMN envelope SET STORAGE EXTERNAL;
CREATE TABLE request_body_default PARTITION OF request_body DEFAULT;
`,
}
