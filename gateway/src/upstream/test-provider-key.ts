import { type Clock, errorFields, type ProviderKeyTestWire, type Secret } from '@latchkey/shared'
import { findProvider } from '../providers/registry.ts'
import type { Upstreams } from './upstreams.ts'
import { appendVia } from './via.ts'

/** Somebody is waiting at a terminal. */
const deadlineMs = 15_000

/** Asks the provider for its list of models with that key: it costs nothing and shows whether the key is accepted. */
export async function testProviderKey(
  upstreams: Upstreams,
  key: { readonly provider: string; readonly baseUrl: string },
  secret: Secret,
  ownName: string,
  clock: Clock,
): Promise<ProviderKeyTestWire> {
  const provider = findProvider(key.provider)
  if (provider === null)
    return { kind: 'unreachable', code: 'unknown_provider', message: `No provider is named ${key.provider}.` }
  const { pool, basePath } = upstreams.at(key.baseUrl)
  const started = clock.monotonic()
  try {
    const [name, value] = provider.credentialHeader(secret)
    const response = await pool.request({
      method: 'GET',
      path: `${basePath}/models`,
      headers: { [name]: value, via: appendVia(null, ownName) },
      signal: AbortSignal.timeout(deadlineMs),
    })
    await response.body.dump()
    return { kind: 'reachable', status: response.statusCode, durationMs: clock.monotonic() - started }
  } catch (error) {
    const { errorCode, errorName, errorMessage } = errorFields(error)
    return { kind: 'unreachable', code: String(errorCode ?? errorName), message: String(errorMessage ?? '') }
  }
}
