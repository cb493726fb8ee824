import type { Endpoint } from './endpoint.ts'

/** What a path leads to. */
export type Route =
  | { readonly kind: 'found'; readonly endpoint: Endpoint; readonly pathId: string }
  | { readonly kind: 'wrong-method'; readonly allowed: readonly string[] }
  | { readonly kind: 'unknown' }

/** Finds endpoints by method and path. */
export class Router {
  readonly #fixed = new Map<string, Endpoint[]>()
  readonly #withId: { readonly pattern: RegExp; readonly endpoint: Endpoint }[] = []

  constructor(endpoints: readonly Endpoint[]) {
    for (const endpoint of endpoints) {
      if (endpoint.path.includes('{id}'))
        this.#withId.push({ pattern: new RegExp(`^${endpoint.path.replace('{id}', '([^/]+)')}$`), endpoint })
      else this.#fixed.set(endpoint.path, [...(this.#fixed.get(endpoint.path) ?? []), endpoint])
    }
  }

  /** `path` is what follows the base path. `HEAD` finds what `GET` does. */
  find(method: string, path: string): Route {
    const wanted = method === 'HEAD' ? 'GET' : method
    const allowed: string[] = []
    for (const endpoint of this.#fixed.get(path) ?? []) {
      if (endpoint.method === wanted) return { kind: 'found', endpoint, pathId: '' }
      allowed.push(endpoint.method)
    }
    if (allowed.length === 0)
      for (const { pattern, endpoint } of this.#withId) {
        const match = pattern.exec(path)
        if (match === null) continue
        if (endpoint.method === wanted) return { kind: 'found', endpoint, pathId: decoded(match[1] ?? '') }
        allowed.push(endpoint.method)
      }
    return allowed.length === 0 ? { kind: 'unknown' } : { kind: 'wrong-method', allowed }
  }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
