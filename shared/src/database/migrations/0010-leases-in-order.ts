import type { Migration } from './migration.ts'

/**
 * The open leases of a process, in the order in which it reads them page by page. The stronger lock is taken first: a statement
 * of a running process that came in between would wait for the one, and hold up the other.
 */
export const leasesInOrder: Migration = {
  name: '0010-leases-in-order',
  sql: `
DROP INDEX lease_open;
CREATE INDEX lease_open_in_order ON lease (epoch_id, id) WHERE state = 'open';
`,
}
