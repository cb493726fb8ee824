import type { Migration } from './migration.ts'

/**
 * Which group a request counted in, budgets that were removed, and what leases are looked up by when the
 * epochs of dead processes are cleared away.
 */
export const requestGroup: Migration = {
  name: '0004-request-group',
  sql: `
ALTER TABLE request ADD COLUMN group_id uuid;

ALTER TABLE budget DROP CONSTRAINT budget_status_check;
ALTER TABLE budget ADD CONSTRAINT budget_status_check CHECK (status IN ('active', 'paused', 'removed'));

CREATE INDEX lease_by_epoch ON lease (epoch_id);
`,
}
