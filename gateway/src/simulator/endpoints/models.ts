import { errorAnswer, jsonAnswer } from '../answer.ts'
import type { Endpoint } from '../endpoint.ts'

/** https://platform.openai.com/docs/api-reference/models. Requests may name any other model too. */
export const models: readonly Endpoint[] = [
  {
    method: 'GET',
    path: '/models',
    takes: 'nothing',
    answer: () => jsonAnswer({ object: 'list', data: names.map(model) }),
  },
  {
    method: 'GET',
    path: '/models/{id}',
    takes: 'nothing',
    answer: ({ pathId }) =>
      names.includes(pathId)
        ? jsonAnswer(model(pathId))
        : errorAnswer({
            status: 404,
            type: 'invalid_request_error',
            code: 'model_not_found',
            message: 'The model does not exist.',
            param: 'model',
          }),
  },
]

const names: readonly string[] = [
  'gpt-4o',
  'gpt-4o-mini',
  'gpt-4.1',
  'gpt-4.1-mini',
  'gpt-4.1-nano',
  'gpt-5',
  'gpt-5-mini',
  'gpt-5-nano',
  'o3',
  'o4-mini',
  'text-embedding-3-small',
  'text-embedding-3-large',
  'gpt-image-1',
  'gpt-4o-mini-tts',
  'gpt-4o-transcribe',
  'gpt-4o-mini-transcribe',
  'whisper-1',
  'omni-moderation-latest',
]

function model(id: string): object {
  return { id, object: 'model', created: 1_700_000_000, owned_by: 'simulator' }
}
