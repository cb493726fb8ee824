import { jsonAnswer } from '../answer.ts'
import type { Endpoint } from '../endpoint.ts'
import { type JsonObject, optionalText } from '../fields.ts'
import { Shelf, type Stored, unknownObject } from '../shelf.ts'

interface StoredVectorStore extends Stored, JsonObject {
  readonly id: string
}

/** Vector stores that hold nothing: https://platform.openai.com/docs/api-reference/vector-stores */
export function vectorStoreEndpoints(): readonly Endpoint[] {
  const stores = new Shelf<StoredVectorStore>()
  return [
    {
      method: 'POST',
      path: '/vector_stores',
      takes: 'json',
      answer: (call, body) => {
        const store: StoredVectorStore = {
          id: `vs_${call.id}`,
          object: 'vector_store',
          created_at: call.createdAt,
          name: optionalText(body, 'name') ?? '',
          usage_bytes: 0,
          file_counts: { in_progress: 0, completed: 0, failed: 0, cancelled: 0, total: 0 },
          status: 'completed',
          expires_after: null,
          expires_at: null,
          last_active_at: call.createdAt,
          metadata: body.metadata ?? {},
        }
        stores.put(store)
        return jsonAnswer(store)
      },
    },
    { method: 'GET', path: '/vector_stores', takes: 'nothing', answer: (call) => stores.page(call) },
    {
      method: 'GET',
      path: '/vector_stores/{id}',
      takes: 'nothing',
      answer: ({ pathId }) => {
        const store = stores.get(pathId)
        return store === undefined ? unknownObject('vector store') : jsonAnswer(store)
      },
    },
    {
      method: 'DELETE',
      path: '/vector_stores/{id}',
      takes: 'nothing',
      answer: ({ pathId }) =>
        stores.delete(pathId)
          ? jsonAnswer({ id: pathId, object: 'vector_store.deleted', deleted: true })
          : unknownObject('vector store'),
    },
  ]
}
