export type { Argon2Limits } from './argon2.ts'
export { type AssociatedData, associatedData, none, type Place } from './associated-data.ts'
export type { Bodies, BodyPlace, OpenedBody } from './bodies.ts'
export type { ChangeBell } from './change-bell.ts'
export type { Changed, Unchangeable } from './change-proxy-key.ts'
export type { Bump, ChangeFeed, ChangeKind, ChangeListener } from './changes.ts'
export type { AlongsideKeys, CreatedMany, MintedProxyKey, NewProxyKey } from './create-proxy-keys.ts'
export type { DamagedRow, DamageReport } from './damage.ts'
export type {
  AlongsideGroup,
  ChangeGroup,
  CreateGroup,
  Group,
  GroupChanged,
  GroupCreated,
  GroupRevoked,
  GroupShown,
  Groups,
  ListGroups,
} from './groups.ts'
export type { RingKeyStatus } from './keyring.ts'
export { openPolicy, type Policy, type PolicyParse, parsePolicy } from './policy.ts'
export type { Principal, PrincipalGroup } from './principal.ts'
export type {
  Added,
  AddProviderKey,
  Found,
  ProviderKey,
  ProviderKeys,
  Removed,
  SecretRotated,
} from './provider-keys.ts'
export { type MintedToken, TokenFormat, type TokenParse, type TokenType } from './proxy-key.ts'
export type { MissingTie } from './proxy-key-bindings.ts'
export type { ListProxyKeys, ProxyKeyPage, ProxyKeyPlace } from './proxy-key-list.ts'
export type { ProxyKey, ProxyKeyGroup } from './proxy-key-view.ts'
export {
  type ChangeProxyKey,
  type Created,
  type CreateProxyKey,
  defaultGraceMs,
  type ProxyKeys,
  type Rotated,
  type RotateProxyKey,
  type Shown,
} from './proxy-keys.ts'
export type { RootKeySource } from './root-key.ts'
export type { KeyringRotation, RootRotation } from './rotation.ts'
export type { BoundProviderKey, OpenedProviderKey, SealedProviderKey } from './sealed-provider-key.ts'
export { openVault, type Vault, type VaultOptions, type VaultStatus } from './vault.ts'
export type { VaultProcessCounts } from './vault-processes.ts'
export type { RefusalReason, Verification, Verifier } from './verification.ts'
