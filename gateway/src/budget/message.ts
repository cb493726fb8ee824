import type { EpochId } from '@latchkey/shared'

/** The channel of NOTIFY on which processes speak about windows. A message that is lost costs time, not money. */
export const budgetChannel = 'latchkey_budget'

export type BudgetMessage =
  /** Whoever holds leases of this window returns what it does not need; null: an administrator asks. */
  | { readonly kind: 'recall'; readonly window: bigint; readonly from: EpochId | null }
  /** There may be room again in this window: what was refused may be asked for again. */
  | { readonly kind: 'room'; readonly window: bigint }

const messageShape = /^(recall|room) ([1-9][0-9]{0,18})(?: ([0-9a-f-]{36}))?$/

/** SQL for the payload of a message that is nobody's own; `window` is SQL for the window's id. */
export function messageSql(kind: BudgetMessage['kind'], window: string): string {
  return `'${kind} ' || ${window}`
}

/** The payload with which a process asks the others to return what they have leased of a window. */
export function recallPayload(window: bigint, from: EpochId): string {
  return `recall ${window} ${from}`
}

/** The message that a payload spells; null for any other, which a newer version may have sent. */
export function parseMessage(payload: string): BudgetMessage | null {
  const [, kind, window = '', from] = messageShape.exec(payload) ?? []
  if (kind === undefined) return null
  return kind === 'room'
    ? { kind: 'room', window: BigInt(window) }
    : { kind: 'recall', window: BigInt(window), from: (from ?? null) as EpochId | null }
}
