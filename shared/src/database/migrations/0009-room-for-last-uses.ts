import type { Migration } from './migration.ts'

/**
 * Room in the pages of proxy keys for the rows that say when they were last used: with it a row changes in its place, and
 * none of the indexes does. Pages that are full already get theirs when their rows are written anew.
 */
export const roomForLastUses: Migration = {
  name: '0009-room-for-last-uses',
  sql: `
ALTER TABLE proxy_key SET (fillfactor = 50);
`,
}
