import { openai } from '../openai/openai.ts'
import type { Provider } from '../provider.ts'

/** Any API that speaks OpenAI's wire shape; every provider key names its own base URL. */
export const openaiCompatible: Provider = { ...openai, name: 'openai-compatible', defaultBaseUrl: null }
