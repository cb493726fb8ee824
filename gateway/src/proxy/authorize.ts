import { type Cidr, containsAddress, parseAddress, parseCidr } from '@latchkey/shared'
import type { BoundProviderKey, Policy, Principal } from '@latchkey/vault'
import type { Endpoint, Provider } from '../providers/provider.ts'
import { findProvider } from '../providers/registry.ts'
import { matchesPattern } from './patterns.ts'
import { type Refusal, refuse } from './refusal.ts'
import type { Target } from './target.ts'

/** A provider key that a request may be sent with, and the provider that it belongs to. */
export interface Candidate {
  readonly providerKey: BoundProviderKey
  readonly provider: Provider
}

/** What an authenticated request may do: which provider keys may carry it, and what is known of its endpoint. */
export interface Grant {
  readonly kind: 'granted'
  readonly principal: Principal
  readonly target: Target
  /** In the order in which they are tried; at least one. */
  readonly candidates: readonly [Candidate, ...Candidate[]]
  /** Null for an endpoint that is only passed through. */
  readonly endpoint: Endpoint | null
}

/** Decides by status, expiry, address, endpoint and binding: whatever needs no body. `now` is wall-clock milliseconds. */
export function authorize(
  principal: Principal,
  method: string,
  target: Target,
  clientIp: string,
  now: number,
): Grant | Refusal {
  if (principal.status === 'revoked') return refuse('revoked_api_key')
  if (principal.status === 'paused') return refuse('paused_api_key')
  if (principal.expiresAt !== null && now >= principal.expiresAt) {
    return refuse('expired_api_key', { details: { expired_at: new Date(principal.expiresAt).toISOString() } })
  }
  if (!addressAllowed(principal.policy, clientIp)) return refuse('ip_not_allowed')
  // TRACE would echo the provider key to the client; CONNECT asks for another machine.
  if (method === 'TRACE' || method === 'CONNECT') return refuse('endpoint_not_allowed')
  const candidates = candidatesOf(principal, target.provider)
  const [first, ...rest] = candidates
  if (first === undefined) {
    return target.provider !== null && findProvider(target.provider) === null
      ? refuse('not_found')
      : refuse('permission_denied', { message: 'This API key is bound to no provider key for this path.' })
  }
  const endpoint = first.provider.endpoint(method, target.endpoint)
  const refusal =
    endpointRefusal(principal.policy, target, endpoint, first.provider) ??
    queryRefusal(principal.policy, target)
  return refusal ?? { kind: 'granted', principal, target, candidates: [first, ...rest], endpoint }
}

function candidatesOf(principal: Principal, providerName: string | null): readonly Candidate[] {
  const candidates: Candidate[] = []
  for (const providerKey of principal.providerKeys) {
    if (providerName !== null && providerKey.provider !== providerName) continue
    const provider = findProvider(providerKey.provider)
    if (provider !== null) candidates.push({ providerKey, provider })
  }
  return candidates
}

function addressAllowed(policy: Policy, clientIp: string): boolean {
  if (policy.allowIps === null) return true
  const address = parseAddress(clientIp)
  if (address === null) return false
  return containsAddress(blocksOf(policy, policy.allowIps), address)
}

// A policy is frozen and lives as long as its snapshot, and its blocks with it: parsed once, not per request.
const parsedBlocks = new WeakMap<Policy, readonly Cidr[]>()

function blocksOf(policy: Policy, texts: readonly string[]): readonly Cidr[] {
  let blocks = parsedBlocks.get(policy)
  if (blocks === undefined) {
    blocks = texts.map(parseCidr).filter((block) => block !== null)
    parsedBlocks.set(policy, blocks)
  }
  return blocks
}

/**
 * A key with a model list reaches only endpoints whose model we can read, or it could get at other
 * models through a batch, an assistant, a stored prompt or a fine-tuning job. Endpoints that the
 * operator named are exempt: naming them is the permission.
 */
function endpointRefusal(
  policy: Policy,
  target: Target,
  endpoint: Endpoint | null,
  provider: Provider,
): Refusal | null {
  if (policy.endpoints !== null) {
    if (!matchesPattern(policy.endpoints, target.endpoint)) return refuse('endpoint_not_allowed')
    if (policy.models !== null && endpoint === null && isOtherSpelling(provider, target.endpoint))
      return refuse('endpoint_not_allowed')
    return pathModelRefusal(policy, target, endpoint)
  }
  if (policy.models === null) return null
  if (endpoint === null) {
    return refuse('endpoint_not_allowed', {
      message:
        'This API key is limited to certain models, and this endpoint does not say which model it uses.',
    })
  }
  return pathModelRefusal(policy, target, endpoint)
}

/**
 * Whether a lenient server might take a path for one whose body names the model: in capitals, with a
 * slash at its end or parameters. A pattern of the operator's would let it pass with its model unread.
 */
function isOtherSpelling(provider: Provider, endpoint: string): boolean {
  const plain = decodeURIComponent(endpoint)
    .replaceAll(/;[^/]*/g, '')
    .replace(/\/+$/, '')
    .toLowerCase()
  return plain !== endpoint && provider.endpoint('POST', plain)?.model === 'body'
}

/** Some compatible servers (LiteLLM's proxy is one) believe a model in the query more than the one in the body. */
function queryRefusal({ models }: Policy, { upstreamPath }: Target): Refusal | null {
  const question = upstreamPath.indexOf('?')
  if (models === null || question === -1) return null
  for (const [name, value] of new URLSearchParams(upstreamPath.slice(question))) {
    if (name.toLowerCase() === 'model' && !matchesPattern(models, value))
      return refuse('model_not_allowed', { param: 'model' })
  }
  return null
}

function pathModelRefusal(policy: Policy, target: Target, endpoint: Endpoint | null): Refusal | null {
  if (policy.models === null || endpoint?.model !== 'path') return null
  const model = decodeURIComponent(target.endpoint.slice(target.endpoint.lastIndexOf('/') + 1))
  return matchesPattern(policy.models, model) ? null : refuse('model_not_allowed', { param: 'model' })
}
