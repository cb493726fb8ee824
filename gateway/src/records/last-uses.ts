import type { RecordRow } from './record-row.ts'

/** When some keys were last used, each by its id, as their rows have it. */
type Uses = ReadonlyMap<string, string>

/** What Postgres is to be told with some rows, for the parameters of a statement. */
export interface DueUses {
  readonly proxyKeys: Uses
  readonly providerKeys: Uses
}

/** `2026-03-01T12:00` of a moment in ISO 8601: two of these compare as texts. */
const minuteLength = 16
/** Beyond these all are forgotten, and told once more. */
const mostKeys = 100_000

/**
 * When keys were last used: Postgres is told once a minute of each, so that a batch of many keys need not look for all
 * of them. What stands there may be newer, which Postgres sees to.
 */
export class LastUses {
  readonly #proxyKeys = new ToldKeys()
  readonly #providerKeys = new ToldKeys()

  /** What Postgres is to be told of the keys of some rows. */
  due(rows: readonly RecordRow[]): DueUses {
    const proxyKeys = new Map<string, string>()
    const providerKeys = new Map<string, string>()
    for (const { proxy_key_id, provider_key_id, started_at } of rows) {
      if (typeof started_at !== 'string') continue
      this.#proxyKeys.addDue(proxyKeys, proxy_key_id, started_at)
      this.#providerKeys.addDue(providerKeys, provider_key_id, started_at)
    }
    return { proxyKeys, providerKeys }
  }

  /** Postgres has been told of these. */
  told({ proxyKeys, providerKeys }: DueUses): void {
    this.#proxyKeys.add(proxyKeys)
    this.#providerKeys.add(providerKeys)
  }
}

/** The latest minute of each key's use that Postgres has been told of. */
class ToldKeys {
  readonly #minutes = new Map<string, string>()

  addDue(uses: Map<string, string>, key: unknown, at: string): void {
    if (typeof key !== 'string') return
    const told = this.#minutes.get(key)
    if (told !== undefined && minuteOf(at) <= told) return
    const known = uses.get(key)
    if (known === undefined || known < at) uses.set(key, at)
  }

  add(uses: Uses): void {
    if (this.#minutes.size + uses.size > mostKeys) this.#minutes.clear()
    for (const [key, at] of uses) this.#minutes.set(key, minuteOf(at))
  }
}

function minuteOf(at: string): string {
  return at.slice(0, minuteLength)
}
