import type { Migration } from './migration.ts'

/** Keyring, provider keys, proxy keys, request records. */
export const vaultKeysRecords: Migration = {
  name: '0001-vault-keys-records',
  sql: `
CREATE TABLE deployment (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  id uuid NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE organization (
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL
);

CREATE TABLE change_counter (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  value bigint NOT NULL
);
INSERT INTO change_counter (value) VALUES (0);

CREATE TABLE ring_key (
  purpose text NOT NULL CHECK (purpose IN ('secret', 'pepper', 'audit', 'webhook', 'session')),
  version integer NOT NULL CHECK (version > 0),
  state text NOT NULL CHECK (state IN ('pending', 'active', 'retired')),
  created_at timestamptz NOT NULL,
  PRIMARY KEY (purpose, version)
);
CREATE UNIQUE INDEX ring_key_one_active ON ring_key (purpose) WHERE state = 'active';

CREATE TABLE ring_key_wrap (
  purpose text NOT NULL,
  version integer NOT NULL,
  root_key_id text NOT NULL,
  envelope bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (purpose, version, root_key_id),
  FOREIGN KEY (purpose, version) REFERENCES ring_key ON DELETE CASCADE
);

CREATE TABLE provider_key (
  id uuid PRIMARY KEY,
  organization_id uuid NOT NULL REFERENCES organization,
  name text NOT NULL,
  provider text NOT NULL,
  base_url text NOT NULL,
  envelope bytea NOT NULL,
  secret_version integer NOT NULL CHECK (secret_version > 0),
  revision integer NOT NULL CHECK (revision > 0),
  masked_tail text,
  created_at timestamptz NOT NULL,
  rotated_at timestamptz,
  last_used_at timestamptz,
  UNIQUE (organization_id, name)
);

CREATE TABLE proxy_key (
  id text PRIMARY KEY,
  organization_id uuid NOT NULL REFERENCES organization,
  name text NOT NULL,
  description text NOT NULL,
  tags text[] NOT NULL,
  policy jsonb NOT NULL,
  status text NOT NULL CHECK (status IN ('active', 'paused', 'revoked')),
  expires_at timestamptz,
  fingerprint bytea NOT NULL,
  verifier bytea NOT NULL,
  verifier_salt bytea NOT NULL,
  pepper_version integer NOT NULL,
  previous_fingerprint bytea,
  previous_verifier bytea,
  previous_verifier_salt bytea,
  previous_pepper_version integer,
  previous_expires_at timestamptz,
  row_mac bytea NOT NULL,
  row_mac_pepper_version integer NOT NULL,
  revision integer NOT NULL CHECK (revision > 0),
  created_at timestamptz NOT NULL,
  rotated_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);
CREATE INDEX proxy_key_by_organization ON proxy_key (organization_id, created_at, id);

CREATE TABLE proxy_key_binding (
  proxy_key_id text NOT NULL REFERENCES proxy_key ON DELETE CASCADE,
  position smallint NOT NULL,
  provider_key_id uuid NOT NULL REFERENCES provider_key,
  PRIMARY KEY (proxy_key_id, position),
  UNIQUE (proxy_key_id, provider_key_id)
);
CREATE INDEX proxy_key_binding_by_provider_key ON proxy_key_binding (provider_key_id);

CREATE TABLE request (
  id uuid PRIMARY KEY,
  organization_id uuid NOT NULL,
  proxy_key_id text NOT NULL,
  proxy_key_name text NOT NULL,
  provider_key_id uuid,
  provider text,
  method text NOT NULL,
  endpoint text NOT NULL,
  model text,
  response_model text,
  status integer NOT NULL,
  code text,
  attempts integer NOT NULL,
  input_tokens bigint,
  cached_input_tokens bigint,
  output_tokens bigint,
  reasoning_tokens bigint,
  input_audio_tokens bigint,
  output_audio_tokens bigint,
  usage_missing boolean NOT NULL,
  streamed boolean NOT NULL,
  disconnected boolean NOT NULL,
  truncated boolean NOT NULL,
  request_bytes bigint NOT NULL,
  response_bytes bigint NOT NULL,
  time_to_first_byte_ms double precision,
  duration_ms double precision NOT NULL,
  client_ip text NOT NULL,
  user_id text,
  session_id text,
  properties jsonb NOT NULL,
  started_at timestamptz NOT NULL,
  recorded_in xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX request_by_proxy_key ON request (proxy_key_id, id);
CREATE INDEX request_by_recording ON request (recorded_in, id);

CREATE TABLE refusal (
  minute timestamptz NOT NULL,
  code text NOT NULL,
  count bigint NOT NULL,
  PRIMARY KEY (minute, code)
);
`,
}
