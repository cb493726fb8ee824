import type { Migration } from './migration.ts'

/** The prices that operators set by the admin API. */
export const priceOverrides: Migration = {
  name: '0005-price-overrides',
  sql: `
CREATE TABLE price_override (
  organization_id uuid NOT NULL REFERENCES organization,
  provider text NOT NULL,
  model text NOT NULL,
  entry jsonb NOT NULL,
  revision integer NOT NULL CHECK (revision > 0),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (organization_id, provider, model)
);
`,
}
