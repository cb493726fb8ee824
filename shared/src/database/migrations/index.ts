import { vaultKeysRecords } from './0001-vault-keys-records.ts'
import { budgets } from './0002-budgets.ts'
import { proxyKeyEmail } from './0003-proxy-key-email.ts'
import { requestGroup } from './0004-request-group.ts'
import { priceOverrides } from './0005-price-overrides.ts'
import { requestPartitions } from './0006-request-partitions.ts'
import { limitsAndBodies } from './0007-limits-and-bodies.ts'
import { vaultProcesses } from './0008-vault-processes.ts'
import { roomForLastUses } from './0009-room-for-last-uses.ts'
import { leasesInOrder } from './0010-leases-in-order.ts'
import type { Migration } from './migration.ts'

/** Every migration, in the one order in which they run. */
export const migrations: readonly Migration[] = [
  vaultKeysRecords,
  budgets,
  proxyKeyEmail,
  requestGroup,
  priceOverrides,
  requestPartitions,
  limitsAndBodies,
  vaultProcesses,
  roomForLastUses,
  leasesInOrder,
]
