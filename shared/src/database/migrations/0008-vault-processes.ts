import type { Migration } from './migration.ts'

/**
 * What several processes must know of each other's vaults: which state of the keyring each has, whether the
 * deployment is sealed, and which keys are compromised.
 */
export const vaultProcesses: Migration = {
  name: '0008-vault-processes',
  sql: `
ALTER TABLE deployment
  ADD COLUMN keyring_revision bigint NOT NULL DEFAULT 1,
  ADD COLUMN sealed_at timestamptz,
  ADD COLUMN rotating_process_id uuid;

CREATE TABLE vault_process (
  id uuid PRIMARY KEY,
  keyring_revision bigint NOT NULL,
  root_key_id text,
  state text NOT NULL CHECK (state IN ('open', 'sealed', 'locked-out')),
  started_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL
);

ALTER TABLE proxy_key ADD COLUMN compromised_at timestamptz;
`,
}
