import type { EpochId } from '@latchkey/shared'

/** The channel of NOTIFY on which processes speak about windows. A message that is lost costs time, not money. */
export const budgetChannel = 'latchkey_budget'

export type BudgetMessage =
  /** Whoever holds leases of this window returns what it does not need; null: an administrator asks. */
  | { readonly kind: 'recall'; readonly window: bigint; readonly from: EpochId | null }
  /** There may be room again in this window: what was refused may be asked for again. */
  | { readonly kind: 'room'; readonly window: bigint }
  /** A process has begun an epoch: what is shared by all that are alive has one more to share it with. */
  | { readonly kind: 'joined'; readonly from: EpochId }

const windowShape = /^(recall|room) ([1-9][0-9]{0,18})(?: ([0-9a-f-]{36}))?$/
const joinedShape = /^joined ([0-9a-f-]{36})$/

/** SQL for the payload of a message that is nobody's own; `window` is SQL for the window's id. */
export function messageSql(kind: 'recall' | 'room', window: string): string {
  return `'${kind} ' || ${window}`
}

/** SQL for the payload that tells of a new epoch; `epoch` is SQL for its id. */
export function joinedSql(epoch: string): string {
  return `'joined ' || ${epoch}`
}

/** The payload with which a process asks the others to return what they have leased of a window. */
export function recallPayload(window: bigint, from: EpochId): string {
  return `recall ${window} ${from}`
}

/** The message that a payload spells; null for any other, which a newer version may have sent. */
export function parseMessage(payload: string): BudgetMessage | null {
  const [, joined] = joinedShape.exec(payload) ?? []
  if (joined !== undefined) return { kind: 'joined', from: joined as EpochId }
  const [, kind, window = '', from] = windowShape.exec(payload) ?? []
  if (kind === undefined) return null
  return kind === 'room'
    ? { kind: 'room', window: BigInt(window) }
    : { kind: 'recall', window: BigInt(window), from: (from ?? null) as EpochId | null }
}
