import type { ProviderName } from '@latchkey/shared'
import { openai } from './openai/openai.ts'
import { openaiCompatible } from './openai-compatible/openai-compatible.ts'
import type { Provider } from './provider.ts'
import { simulator } from './simulator/simulator.ts'

/** Every provider that we can talk to. A new one is a folder beside this file, a name in the admin API and a line here. */
const providers: Readonly<Record<ProviderName, Provider>> = {
  openai,
  'openai-compatible': openaiCompatible,
  simulator,
}

const byName = new Map<string, Provider>(Object.entries(providers))

/** The provider of that name, or null. */
export function findProvider(name: string): Provider | null {
  return byName.get(name) ?? null
}
