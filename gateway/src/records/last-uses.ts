import type { RecordRow } from './record-row.ts'

/** When some keys were last used, each by its id, as their rows have it. */
type Uses = ReadonlyMap<string, string>

/** What Postgres is to be told of with some rows, for the parameters of a statement. */
export interface DueUses {
  readonly proxyKeys: Uses
  readonly providerKeys: Uses
}

/** `2026-03-01T12:00` of a moment in ISO 8601: two of these compare as texts. */
const minuteLength = 16

/**
 * When keys were last used: Postgres is told once a minute of each, so that a batch of many keys need not look for all
 * of them. What stands there may be newer, which Postgres sees to.
 */
export class LastUses {
  readonly #proxyKeys = new ToldKeys()
  readonly #providerKeys = new ToldKeys()

  /** What it has not been told of the keys of some rows. */
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

  /** It has been told of these. */
  told({ proxyKeys, providerKeys }: DueUses): void {
    this.#proxyKeys.add(proxyKeys)
    this.#providerKeys.add(providerKeys)
  }
}

/** The keys of which Postgres has been told in one minute, the latest. */
class ToldKeys {
  #minute = ''
  readonly #keys = new Set<string>()

  addDue(uses: Map<string, string>, key: unknown, at: string): void {
    if (typeof key !== 'string') return
    if (this.#keys.has(key) && at.startsWith(this.#minute)) return
    const known = uses.get(key)
    if (known === undefined || known < at) uses.set(key, at)
  }

  add(uses: Uses): void {
    for (const [key, at] of uses) {
      const minute = at.slice(0, minuteLength)
      if (minute > this.#minute) {
        this.#minute = minute
        this.#keys.clear()
      }
      if (minute === this.#minute) this.#keys.add(key)
    }
  }
}
