import type { Migration } from './migration.ts'

/** Whom a proxy key was made for. */
export const proxyKeyEmail: Migration = {
  name: '0003-proxy-key-email',
  sql: `
ALTER TABLE proxy_key ADD COLUMN email text;
`,
}
