import { type BudgetId, type Cidr, containsAddress, parseAddress, parseCidr } from '@latchkey/shared'
import type { BoundProviderKey, Policy, Principal } from '@latchkey/vault'
import type { Endpoint, Provider } from '../providers/provider.ts'
import { findProvider } from '../providers/registry.ts'
import { type LimitAsks, limitAsks } from './limit-asks.ts'
import { allowsModel } from './models.ts'
import { matchesPattern } from './patterns.ts'
import { type Refusal, refuse } from './refusal.ts'
import type { Target } from './target.ts'

/** A provider key that a request may be sent with, and the provider that it belongs to. */
export interface Candidate {
  readonly providerKey: BoundProviderKey
  readonly provider: Provider
  /** All that a request with this provider key counts in: the key's, its group's, the organization's and the provider key's. */
  readonly budgets: readonly BudgetId[]
  /** Those among them whose figures its holder may see: all but the provider key's. */
  readonly shownBudgets: readonly BudgetId[]
  /** What it asks of rate limits. */
  readonly asks: LimitAsks
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
  if (principal.group?.status === 'paused')
    return refuse('paused_api_key', {
      message: 'The group of this API key is paused. Ask whoever gave it to you.',
    })
  if (principal.expiresAt !== null && now >= principal.expiresAt) {
    return refuse('expired_api_key', { details: { expired_at: new Date(principal.expiresAt).toISOString() } })
  }
  if (!addressAllowed(principal.policy, clientIp)) return refuse('ip_not_allowed')
  // TRACE would echo the provider key to the client; CONNECT asks for another machine.
  if (method === 'TRACE' || method === 'CONNECT') return refuse('endpoint_not_allowed')
  const candidates = candidatesOf(principal, target.provider)
  if (!isSome(candidates)) {
    return target.provider !== null && findProvider(target.provider) === null
      ? refuse('not_found')
      : refuse('permission_denied', { message: 'This API key is bound to no provider key for this path.' })
  }
  const { provider } = candidates[0]
  const endpoint = provider.endpoint(method, target.endpoint)
  const refusal =
    endpointRefusal(principal.policy, target, endpoint, provider) ??
    queryRefusal(principal.policy, target, candidates)
  return refusal ?? { kind: 'granted', principal, target, candidates, endpoint }
}

function isSome(candidates: readonly Candidate[]): candidates is Grant['candidates'] {
  return candidates.length > 0
}

// A principal is frozen and lives as long as its snapshot: which provider keys may carry its requests, and
// what these ask for, is found out once.
const knownCandidates = new WeakMap<Principal, readonly Candidate[]>()

function candidatesOf(principal: Principal, providerName: string | null): readonly Candidate[] {
  let candidates = knownCandidates.get(principal)
  if (candidates === undefined) {
    candidates = allCandidates(principal)
    knownCandidates.set(principal, candidates)
  }
  return providerName === null
    ? candidates
    : candidates.filter(({ providerKey }) => providerKey.provider === providerName)
}

function allCandidates(principal: Principal): readonly Candidate[] {
  const candidates: Candidate[] = []
  for (const providerKey of principal.providerKeys) {
    const provider = findProvider(providerKey.provider)
    if (provider !== null)
      candidates.push({
        providerKey,
        provider,
        budgets: budgetsOf(principal, providerKey),
        shownBudgets: principal.budgets,
        asks: limitAsks(principal, providerKey),
      })
  }
  return candidates
}

function budgetsOf({ budgets }: Principal, providerKey: BoundProviderKey): readonly BudgetId[] {
  return providerKey.budgets.length === 0 ? budgets : [...budgets, ...providerKey.budgets]
}

/** Whether a policy lets requests from an address through. */
export function addressAllowed(policy: Policy, clientIp: string): boolean {
  if (policy.allowIps === null) return true
  const address = parseAddress(clientIp)
  if (address === null) return false
  return containsAddress(blocksOf(policy, policy.allowIps), address)
}

// A policy is frozen, and may be that of many keys: its blocks are parsed once, not per request.
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
    if (policy.models !== null && endpoint === null && mayHideModel(provider, target.endpoint))
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

/** Unreserved characters (RFC 3986, section 2.3) and the colon of names like `models/x:generate`. */
const plainPath = /^[A-Za-z0-9\-._~:/]*$/

/**
 * Whether a pattern of the operator's would let a request pass with its model unread: to an endpoint whose body
 * names it, by another method, or by a path that a lenient server takes for that one. It may decode, drop
 * what is invisible or behind a `;`, ignore case, a slash or an extension at the end, or a doubled `/v1`.
 */
function mayHideModel(provider: Provider, endpoint: string): boolean {
  if (!plainPath.test(endpoint)) return true
  const plain = endpoint
    .toLowerCase()
    .replace(/^(?:\/v1)+(?=\/)/, '/v1')
    .replace(/(?:\.[a-z]*)?\/?$/, '')
  return provider.endpoint('POST', plain)?.model === 'body'
}

/**
 * Some compatible servers (LiteLLM's proxy is one) believe a model in the query more than the one in the body. By
 * whatever spelling of the name some server reads it, and wherever it ends a parameter: each must be allowed.
 */
function queryRefusal(
  { models }: Policy,
  { upstreamPath }: Target,
  candidates: readonly Candidate[],
): Refusal | null {
  const question = upstreamPath.indexOf('?')
  if (question === -1) return null
  const budgeted = candidates.some(({ budgets }) => budgets.length > 0)
  if (models === null && !budgeted) return null
  const query = upstreamPath.slice(question + 1).replaceAll(';', '&')
  for (const [name, value] of new URLSearchParams(query)) {
    if (!/^models?$/i.test(baseName(name))) continue
    if (models !== null && !allowsModel(models, value)) return refuse('model_not_allowed', { param: 'model' })
    // What is paid for is the model of the body.
    if (budgeted)
      return refuse('invalid_request', { param: 'model', message: 'Name the model in the body alone.' })
  }
  return null
}

/** A parameter's name as frameworks read it that make lists of `model[]` and drop what is no letter. */
function baseName(name: string): string {
  return name.replace(/[.[].*$/s, '').replaceAll(/[^a-z]/gi, '')
}

function pathModelRefusal(policy: Policy, target: Target, endpoint: Endpoint | null): Refusal | null {
  if (policy.models === null || endpoint?.model !== 'path') return null
  const model = decodeURIComponent(target.endpoint.slice(target.endpoint.lastIndexOf('/') + 1))
  return allowsModel(policy.models, model) ? null : refuse('model_not_allowed', { param: 'model' })
}
