import type { Migration } from './migration.ts'

/**
 * Room in the pages of proxy keys for the next version of each row: with it the page is all that changes when a last use is
 * noted, and no index. Pages that are full already get theirs as their rows are written anew.
 */
export const roomForLastUses: Migration = {
  name: '0009-room-for-last-uses',
  sql: `
ALTER TABLE proxy_key SET (fillfactor = 50);
`,
}
