import type { Clock } from '@latchkey/shared'
import type { Correction, LimitsCall, SlotChanges } from './call.ts'
import type { ScopeBook } from './scope-book.ts'

/** How long what came back is gathered, unless a request takes it along. */
const flushAfterMs = 100
/** How often slots in flight are renewed: a third of their lease. */
const renewEveryMs = 5_000
/** How long a slot outlives its process. */
export const slotLeaseMs = 15_000
/** So that no call keeps Redis busy for long. */
const mostScopesPerCall = 100
const mostSlotsPerCall = 1_000

/** Tells Redis what nobody waits for: what came back, slots that came free, slots that are still in use. */
export class Deliveries {
  readonly #send: (call: LimitsCall) => Promise<unknown>
  readonly #clock: Clock
  readonly #open = new Set<ScopeBook>()
  readonly #slotted = new Set<ScopeBook>()
  #flushTimer: NodeJS.Timeout | null = null
  #renewTimer: NodeJS.Timeout | null = null

  /** `send` sees to what it rejects with. */
  constructor(send: (call: LimitsCall) => Promise<unknown>, clock: Clock) {
    this.#send = send
    this.#clock = clock
  }

  /** This scope has, or will have, something to tell. */
  add(book: ScopeBook): void {
    if (!book.isOpen) return
    this.#open.add(book)
    this.#flushTimer ??= setTimeout(() => void this.flush('lapsed'), flushAfterMs).unref()
  }

  /** This scope has slots, which are renewed from now on as long as it has any. */
  addSlots(book: ScopeBook): void {
    this.#slotted.add(book)
    this.#renewTimer ??= setTimeout(() => void this.renew(), renewEveryMs).unref()
  }

  /** Tells what these scopes of one organization have to tell now. */
  async deliver(books: readonly ScopeBook[], chunks: 'all' | 'lapsed'): Promise<void> {
    const corrections: Correction[] = []
    const slots: SlotChanges[] = []
    const now = this.#clock.monotonic()
    for (const book of books) {
      book.collectCorrections(now, chunks, corrections)
      book.collectSlots(false, slots)
    }
    if (corrections.length + slots.length > 0) await this.#tell({ corrections, slots, question: null })
  }

  /** Tells all that is to be told: of chunks, those that have lapsed or all. */
  async flush(chunks: 'all' | 'lapsed'): Promise<void> {
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer)
    this.#flushTimer = null
    const open = [...this.#open]
    this.#open.clear()
    const told = batches(open, () => 1, mostScopesPerCall).map((books) => this.deliver(books, chunks))
    for (const book of open) this.add(book)
    await Promise.all(told)
  }

  /** Renews every slot that is in use; those that Redis has lost are there again. */
  async renew(): Promise<void> {
    if (this.#renewTimer !== null) clearTimeout(this.#renewTimer)
    this.#renewTimer = null
    const changes: { readonly organizationId: string; readonly change: SlotChanges }[] = []
    for (const book of this.#slotted) {
      const { organizationId, slotsKey: key } = book
      if (!book.hasSlots) this.#slotted.delete(book)
      else changes.push({ organizationId, change: { key, released: [], held: book.slots() } })
    }
    for (const book of this.#slotted) this.addSlots(book)
    const calls = batches(changes, ({ change }) => change.held.length, mostSlotsPerCall)
    await Promise.all(
      calls.map((call) =>
        this.#tell({ corrections: [], slots: call.map(({ change }) => change), question: null }),
      ),
    )
  }

  close(): void {
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer)
    if (this.#renewTimer !== null) clearTimeout(this.#renewTimer)
  }

  async #tell(call: LimitsCall): Promise<void> {
    await this.#send(call).catch(() => undefined)
  }
}

/** In batches of one organization each, with at most `most` or a single item in it. */
function batches<Item extends { readonly organizationId: string }>(
  items: readonly Item[],
  sizeOf: (item: Item) => number,
  most: number,
): readonly (readonly Item[])[] {
  const done: (readonly Item[])[] = []
  const filling = new Map<string, { readonly batch: Item[]; size: number }>()
  for (const item of items) {
    const size = sizeOf(item)
    const known = filling.get(item.organizationId)
    if (known !== undefined && known.size + size <= most) {
      known.batch.push(item)
      known.size += size
      continue
    }
    const batch = [item]
    filling.set(item.organizationId, { batch, size })
    done.push(batch)
  }
  return done
}
