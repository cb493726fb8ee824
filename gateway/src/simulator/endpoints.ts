import type { Endpoint } from './endpoint.ts'
import { batchEndpoints } from './endpoints/batches.ts'
import { chatCompletions } from './endpoints/chat-completions.ts'
import { completions } from './endpoints/completions.ts'
import { embeddings } from './endpoints/embeddings.ts'
import { fileEndpoints } from './endpoints/files.ts'
import { imageEdits, imageGenerations } from './endpoints/images.ts'
import { models } from './endpoints/models.ts'
import { moderations } from './endpoints/moderations.ts'
import { responses } from './endpoints/responses.ts'
import { speech } from './endpoints/speech.ts'
import { transcriptions, translations } from './endpoints/transcriptions.ts'
import { vectorStoreEndpoints } from './endpoints/vector-stores.ts'

/** Every operation of the simulated API. Each call makes one with a memory of its own. */
export function createEndpoints(): readonly Endpoint[] {
  return [
    chatCompletions,
    completions,
    responses,
    embeddings,
    imageGenerations,
    imageEdits,
    speech,
    transcriptions,
    translations,
    moderations,
    ...models,
    ...fileEndpoints(),
    ...batchEndpoints(),
    ...vectorStoreEndpoints(),
  ]
}
