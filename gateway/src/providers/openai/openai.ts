import type { Provider } from '../provider.ts'
import { openaiEndpoint } from './endpoints.ts'
import { openaiErrorBody, openaiStreamError } from './errors.ts'
import { openaiModelsAsked } from './models.ts'
import { openaiAnswerMembers, readOpenai } from './reading.ts'

/** OpenAI. Source: https://platform.openai.com/docs/api-reference/authentication */
export const openai: Provider = {
  name: 'openai',
  defaultBaseUrl: 'https://api.openai.com/v1',
  credentialHeader: (secret) => ['authorization', `Bearer ${secret.reveal()}`],
  endpoint: openaiEndpoint,
  modelsAsked: openaiModelsAsked,
  allowsRequestHeader: (name) => name.startsWith('openai-') || name.startsWith('x-stainless-'),
  read: readOpenai,
  answerMembers: openaiAnswerMembers,
  errorBody: openaiErrorBody,
  streamError: openaiStreamError,
}
