import type { RequestRecord } from '../records/request-record.ts'
import { Counts } from './counts.ts'
import type { Family, Labels, Sample } from './exposition.ts'
import { statusClass, statusClasses } from './status-class.ts'

/** Beyond so many provider keys of one provider the rest share a series. */
const mostKeys = 500
/** No provider key's name: those have no spaces. */
const rest = 'all others'

const tokenTypes = ['input', 'cached_input', 'output', 'reasoning'] as const

/** What one provider key was used for. */
interface Use {
  readonly requests: Counts<(typeof statusClasses)[number]>
  readonly tokens: Counts<(typeof tokenTypes)[number]>
  readonly money: Counts<'nanoUsd'>
}

/** Requests, tokens and money by provider key. Administrators name those, so there are few. */
export class ProviderKeyMetrics {
  readonly #providers = new Map<string, Map<string, Use>>()

  /** Adds a request that was sent with the provider key of this name. */
  add(provider: string, name: string, { status, usage, cost }: RequestRecord): void {
    const { requests, tokens, money } = this.#useOf(provider, name)
    requests.add(statusClass(status))
    // For graphs: as a double it is exact to the nano-dollar up to nine million dollars. The books are elsewhere.
    if (cost !== null) money.add('nanoUsd', Number(cost))
    if (usage === null) return
    tokens.add('input', usage.inputTokens ?? 0)
    tokens.add('cached_input', usage.cachedInputTokens ?? 0)
    tokens.add('output', usage.outputTokens ?? 0)
    tokens.add('reasoning', usage.reasoningTokens ?? 0)
  }

  families(): readonly Family[] {
    const requests: Sample[] = []
    const tokens: Sample[] = []
    const cost: Sample[] = []
    for (const [provider, names] of this.#providers) {
      for (const [name, use] of names) {
        const labels: Labels = { provider, provider_key: name }
        requests.push(...use.requests.samples((status) => ({ ...labels, status })))
        tokens.push(...use.tokens.samples((type) => ({ ...labels, type })))
        cost.push({ labels, value: use.money.of('nanoUsd') / 1e9 })
      }
    }
    return [
      {
        kind: 'counter',
        name: 'latchkey_provider_key_requests_total',
        help: 'Requests that were sent, by the provider key of their last attempt and the status of the answer.',
        samples: requests,
      },
      {
        kind: 'counter',
        name: 'latchkey_tokens_total',
        help: 'Tokens that providers reported; cached_input is a part of input, reasoning of output.',
        samples: tokens,
      },
      {
        kind: 'counter',
        name: 'latchkey_cost_usd_total',
        help: 'What requests did cost, in dollars, where a price is known.',
        samples: cost,
      },
    ]
  }

  #useOf(provider: string, name: string): Use {
    let names = this.#providers.get(provider)
    if (names === undefined) {
      names = new Map()
      this.#providers.set(provider, names)
    }
    const known = names.get(name) ?? (names.size >= mostKeys ? names.get(rest) : undefined)
    if (known !== undefined) return known
    const use = {
      requests: new Counts(statusClasses),
      tokens: new Counts(tokenTypes),
      money: new Counts(['nanoUsd'] as const),
    }
    names.set(names.size >= mostKeys ? rest : name, use)
    return use
  }
}
