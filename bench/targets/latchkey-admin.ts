import { mintedProxyKeysWire, mintedProxyKeyWire } from '@latchkey/shared'
import { providerSecret } from './target.ts'

/** The admin API of a gateway that is set up to be measured. */
export interface LatchkeyAdmin {
  readonly url: string
  readonly token: string
}

const providerKey = 'bench'
/** More than any run can spend. */
const budget = { limitUsd: '1000000.00' }
const limit = { unit: 'requests', per: 'minute', limit: 10_000_000 } as const
const mostAtOnce = 2000

/** What of the gateway's features a key has on. */
export interface KeyFeatures {
  readonly policy: boolean
  readonly limits: boolean
  readonly budgets: boolean
}

/** Stores the provider's key and makes the groups; with `budgets`, those of the organization and the groups. */
export async function setUp(admin: LatchkeyAdmin, baseUrl: string, budgets: boolean): Promise<void> {
  await post(admin, '/provider-keys', {
    name: providerKey,
    provider: 'openai',
    baseUrl,
    secret: providerSecret,
  })
  if (budgets) await post(admin, '/budgets', { scope: 'organization', period: 'month', ...budget })
  const monthly = budgets ? [{ ...budget, period: 'month' }] : []
  await post(admin, '/groups', { name: 'limited', limits: [limit], budgets: monthly })
  await post(admin, '/groups', { name: 'unlimited', budgets: monthly })
}

/** Makes a key and gives its token. */
export async function makeKey(admin: LatchkeyAdmin, name: string, features: KeyFeatures): Promise<string> {
  const made = await post(admin, '/keys', { name, ...settings(features) })
  return mintedProxyKeyWire.parse(made).key
}

/** Makes `count` keys and gives their tokens. */
export async function makeKeys(
  admin: LatchkeyAdmin,
  count: number,
  features: KeyFeatures,
): Promise<readonly string[]> {
  const tokens: string[] = []
  while (tokens.length < count) {
    const first = tokens.length
    const keys = Array.from({ length: Math.min(mostAtOnce, count - first) }, (_, index) => ({
      name: `many-${first + index}`,
    }))
    const made = await post(admin, '/keys/bulk', { keys, ...settings(features) })
    tokens.push(...mintedProxyKeysWire.parse(made).data.map(({ key }) => key))
  }
  return tokens
}

function settings({ policy, limits, budgets }: KeyFeatures) {
  return {
    providerKeys: [providerKey],
    ...(policy
      ? {
          models: ['gpt-4o-mini', 'gpt-5*'],
          endpoints: ['/v1/chat/*'],
          allowIps: ['127.0.0.0/8', '10.0.0.0/8'],
          expiresAt: new Date(Date.now() + 86_400_000).toISOString(),
        }
      : {}),
    group: limits ? 'limited' : 'unlimited',
    ...(limits ? { limits: [limit] } : {}),
    ...(budgets ? { budgets: [budget] } : {}),
  }
}

async function post({ url, token }: LatchkeyAdmin, path: string, body: unknown): Promise<unknown> {
  const response = await fetch(`${url}/api${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`POST ${path}: ${text}`)
  return JSON.parse(text)
}
