import type { Log } from '@latchkey/shared'
import type { Vault } from '@latchkey/vault'
import type { Config } from '../config.ts'
import { openai } from '../providers/openai/openai.ts'

/** Stores `OPENAI_API_KEY` in a vault that this start has made, under the name `openai`. What is removed later stays removed. */
export async function addFirstOpenAiKey(
  vault: Vault,
  key: Config['firstOpenAiKey'],
  log: Log,
): Promise<void> {
  if (key === null || !vault.created) return
  await vault.providerKeys.add({
    organizationId: vault.defaultOrganizationId,
    name: openai.name,
    provider: openai.name,
    baseUrl: key.baseUrl ?? openai.defaultBaseUrl ?? '',
    secret: key.secret,
  })
  log.info('provider_key.added', { name: openai.name, reason: 'OPENAI_API_KEY' })
}
