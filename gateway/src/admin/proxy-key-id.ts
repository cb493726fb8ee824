import type { ProxyKeyId } from '@latchkey/shared'

/** The id that `text` spells, or null. Whether there is such a key is another question. */
export function parseProxyKeyId(text: string): ProxyKeyId | null {
  return /^[0-9A-Za-z]{12}$/.test(text) ? (text as ProxyKeyId) : null
}
