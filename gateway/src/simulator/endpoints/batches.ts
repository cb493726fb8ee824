import { jsonAnswer } from '../answer.ts'
import type { Endpoint } from '../endpoint.ts'
import { type JsonObject, requiredText } from '../fields.ts'
import { Shelf, type Stored, unknownObject } from '../shelf.ts'

interface StoredBatch extends Stored, JsonObject {
  readonly id: string
}

/** Batches that stay in progress and process nothing: https://platform.openai.com/docs/api-reference/batch */
export function batchEndpoints(): readonly Endpoint[] {
  const batches = new Shelf<StoredBatch>()
  return [
    {
      method: 'POST',
      path: '/batches',
      takes: 'json',
      answer: (call, body) => {
        const batch: StoredBatch = {
          id: `batch_${call.id}`,
          object: 'batch',
          endpoint: requiredText(body, 'endpoint'),
          errors: null,
          input_file_id: requiredText(body, 'input_file_id'),
          completion_window: requiredText(body, 'completion_window'),
          status: 'in_progress',
          output_file_id: null,
          error_file_id: null,
          created_at: call.createdAt,
          in_progress_at: call.createdAt,
          request_counts: { total: 0, completed: 0, failed: 0 },
          metadata: body.metadata ?? null,
        }
        batches.put(batch)
        return jsonAnswer(batch)
      },
    },
    { method: 'GET', path: '/batches', takes: 'nothing', answer: (call) => batches.page(call) },
    {
      method: 'GET',
      path: '/batches/{id}',
      takes: 'nothing',
      answer: ({ pathId }) => {
        const batch = batches.get(pathId)
        return batch === undefined ? unknownObject('batch') : jsonAnswer(batch)
      },
    },
  ]
}
