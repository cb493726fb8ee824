import { openai } from '../openai/openai.ts'
import type { Provider } from '../provider.ts'

/** The host that stands for the simulator inside the gateway. `.internal` is never in public DNS. */
export const simulatorHost = 'simulator.internal'

/** The built-in provider: OpenAI's wire shape, reached over a private socket unless a base URL is named. */
export const simulator: Provider = {
  ...openai,
  name: 'simulator',
  defaultBaseUrl: `http://${simulatorHost}/v1`,
  allowsRequestHeader: (name) => name.startsWith('x-simulator-') || openai.allowsRequestHeader(name),
}
