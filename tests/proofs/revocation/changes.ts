import type { Change } from './lag.ts'
import type { Stage } from './stage.ts'

export const changeKinds = ['revoke', 'pause', 'models', 'budget', 'price'] as const
/** What is changed: that a key is revoked or paused, which models it may use, its budget, or a price. */
export type ChangeKind = (typeof changeKinds)[number]

const models = '/v1/models'
const chat = '/v1/chat/completions'
const isServed = (status: number) => status === 200

/** A key of its own and the change that is to be measured with it. `number` tells those of one kind apart. */
export async function prepare(stage: Stage, kind: ChangeKind, number: number): Promise<Change> {
  const [admin] = stage.gateways
  const name = `${kind}-${number}`
  switch (kind) {
    case 'revoke':
    case 'pause': {
      const { id, token } = await stage.mint(name)
      return {
        isBefore: isServed,
        ask: () => ({ path: models, token }),
        make: () => admin.admin('POST', `/keys/${id}/${kind}`, {}),
      }
    }
    case 'models': {
      const { id, token } = await stage.mint(name)
      return {
        isBefore: isServed,
        ask: () => ({ path: chat, token, body: message('gpt-5-nano') }),
        make: () => admin.admin('PATCH', `/keys/${id}`, { models: ['gpt-4o'] }),
      }
    }
    case 'budget': {
      const { id, token } = await stage.mint(name)
      return {
        isBefore: isServed,
        ask: () => ({ path: chat, token, body: message('gpt-5-nano') }),
        make: () => admin.admin('PATCH', `/keys/${id}`, { budgets: [{ limitUsd: '0' }] }),
      }
    }
    case 'price': {
      const { token } = await stage.mint(name, { budgets: [{ limitUsd: '1' }] })
      const model = `of-the-house-${number}`
      const entry = { source: 'the proof', prices: [{ standard: { input: 1, output: 1 } }] }
      return {
        // Without a price it is refused under a budget.
        isBefore: (status) => status === 400,
        ask: () => ({ path: chat, token, body: message(model) }),
        make: () => admin.admin('PUT', '/prices', { models: { simulator: { [model]: entry } } }),
      }
    }
    default:
      return kind satisfies never
  }
}

function message(model: string): object {
  return { model, max_completion_tokens: 1, messages: [{ role: 'user', content: 'Hello' }] }
}
