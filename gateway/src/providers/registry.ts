import { openai } from './openai/openai.ts'
import { openaiCompatible } from './openai-compatible/openai-compatible.ts'
import type { Provider } from './provider.ts'
import { simulator } from './simulator/simulator.ts'

/** Every provider that we can talk to. A new one is a folder beside this file and a line here. */
const providers: readonly Provider[] = [openai, openaiCompatible, simulator]

export const providerNames: readonly string[] = providers.map((provider) => provider.name)

/** The provider of that name, or null. */
export function findProvider(name: string): Provider | null {
  return providers.find((provider) => provider.name === name) ?? null
}
