import type {
  DeploymentId,
  GroupId,
  OrganizationId,
  ProviderKeyId,
  ProxyKeyId,
  StoredPolicy,
} from '@latchkey/shared'
import { expect, test } from 'vitest'
import { Keyring } from '../../vault/src/keyring.ts'
import type { ProxyKeyRow } from '../../vault/src/proxy-key-row.ts'
import { isAuthentic, macRow } from '../../vault/src/row-mac.ts'

const deployment = '01890000-0000-7000-8000-000000000001' as DeploymentId
const groupA = '01890000-0000-7000-8000-00000000000a' as GroupId
const groupB = '01890000-0000-7000-8000-00000000000b' as GroupId
const keyring = new Keyring()
keyring.load([{ purpose: 'pepper', version: 1, state: 'active', bytes: Buffer.alloc(32, 7) }])

/** A row, and its MAC, as they were written before there were groups, limits and clamping. */
const ancient: ProxyKeyRow = {
  id: 'AAAAAAAAAAAA' as ProxyKeyId,
  organization_id: '01890000-0000-7000-8000-000000000002' as OrganizationId,
  group_id: null,
  name: 'alice',
  description: '',
  tags: [],
  email: null,
  policy: {
    models: ['gpt-5-nano'],
    endpoints: null,
    allowIps: ['10.0.0.0/8'],
    retries: 2,
  } as unknown as StoredPolicy,
  status: 'active',
  expires_at: new Date('2030-01-01T00:00:00Z'),
  fingerprint: Buffer.alloc(32, 1),
  verifier: Buffer.alloc(32, 2),
  verifier_salt: Buffer.alloc(16, 3),
  pepper_version: 1,
  previous_fingerprint: null,
  previous_verifier: null,
  previous_verifier_salt: null,
  previous_pepper_version: null,
  previous_expires_at: null,
  row_mac: Buffer.from('38100b89a49791979d5349c25eec7873f8d32d99554ebcc6764bcee5b90be08a', 'hex'),
  row_mac_pepper_version: 1,
  revision: 5,
  created_at: new Date('2026-01-01T00:00:00Z'),
  rotated_at: null,
  revoked_at: null,
  compromised_at: null,
  last_used_at: null,
  bindings: ['01890000-0000-7000-8000-000000000003' as ProviderKeyId],
}

function signed(row: ProxyKeyRow): ProxyKeyRow {
  return { ...row, ...macRow(keyring, deployment, row) }
}

test('a row that was written before there were groups is still authentic', () => {
  expect(isAuthentic(keyring, deployment, ancient)).toBe(true)
})

test('the MAC of a row without a group does not hold for one with a group', () => {
  expect(isAuthentic(keyring, deployment, { ...ancient, group_id: groupA })).toBe(false)
})

test('the MAC of a row with a group holds for that group alone', () => {
  const row = signed({ ...ancient, group_id: groupA })
  expect(isAuthentic(keyring, deployment, row)).toBe(true)
  expect(isAuthentic(keyring, deployment, { ...row, group_id: groupB })).toBe(false)
  expect(isAuthentic(keyring, deployment, { ...row, group_id: null })).toBe(false)
})

test('the MAC covers limits and fit, in whatever order the database keeps their fields', () => {
  const policy: StoredPolicy = {
    ...ancient.policy,
    limits: [{ unit: 'requests', per: 'minute', limit: 60 }],
    fit: 'clamp',
  }
  const row = signed({ ...ancient, policy })
  const reordered: StoredPolicy = { ...policy, limits: [{ limit: 60, per: 'minute', unit: 'requests' }] }
  expect(isAuthentic(keyring, deployment, { ...row, policy: reordered })).toBe(true)
  for (const edited of [
    { ...policy, limits: [] },
    { ...policy, limits: [{ unit: 'requests', per: 'hour', limit: 60 }] },
    { ...policy, limits: [{ unit: 'requests', per: 'minute', limit: 61 }] },
    { ...policy, fit: 'refuse' },
    ancient.policy,
  ] as const)
    expect(isAuthentic(keyring, deployment, { ...row, policy: edited })).toBe(false)
})
