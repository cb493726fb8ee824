import { type Answer, errorAnswer, jsonAnswer } from './answer.ts'
import type { Call } from './endpoint.ts'

/** An object of the API that can be looked up again. */
export interface Stored {
  readonly id: string
}

const mostStored = 1000

/** Objects of one kind, in memory; beyond a thousand the oldest is forgotten. */
export class Shelf<Item extends Stored> {
  readonly #items = new Map<string, Item>()

  put(item: Item): void {
    this.#items.set(item.id, item)
    if (this.#items.size <= mostStored) return
    const [oldest] = this.#items.keys()
    if (oldest !== undefined) this.#items.delete(oldest)
  }

  get(id: string): Item | undefined {
    return this.#items.get(id)
  }

  delete(id: string): boolean {
    return this.#items.delete(id)
  }

  /** The list page that `?limit=` and `?after=` ask for, newest first. */
  page({ query }: Call): Answer {
    const limit = Math.min(Math.max(Number(query.get('limit') ?? 100) || 100, 1), mostStored)
    const items = [...this.#items.values()].reverse()
    const start = items.findIndex(({ id }) => id === query.get('after')) + 1
    const data = items.slice(start, start + limit)
    return jsonAnswer({
      object: 'list',
      data,
      first_id: data[0]?.id ?? null,
      last_id: data.at(-1)?.id ?? null,
      has_more: start + limit < items.length,
    })
  }
}

/** What OpenAI answers for an id that it does not know. */
export function unknownObject(what: string): Answer {
  return errorAnswer({
    status: 404,
    type: 'invalid_request_error',
    code: null,
    message: `No such ${what}.`,
    param: 'id',
  })
}
