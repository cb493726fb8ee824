import {
  type ProxyKeyId,
  type ProxyKeyWire,
  parseProxyKeyId,
  proxyKeyPageWire,
  proxyKeyWire,
} from '@latchkey/shared'
import { type AdminClient, AdminRefusal } from './admin-client.ts'
import { everyPage } from './every-page.ts'
import { CommandFailure, exitCode } from './exit-code.ts'

const tokenShape = /^[a-z]{2,17}_([0-9A-Za-z]+)_[0-9A-Za-z]*$/

/**
 * The proxy key that `text` means: an id, a token, or a name that one key has (revoked ones count
 * only if no other has it). Throws `CommandFailure`.
 */
export async function findKey(client: AdminClient, text: string): Promise<ProxyKeyWire> {
  const ofToken = idOfToken(text)
  const id = ofToken ?? parseProxyKeyId(text)
  const byId = id === null ? null : await getKey(client, id)
  if (byId !== null) return byId
  const named = ofToken === null ? await everyPage(client, '/api/keys', { name: text }, proxyKeyPageWire) : []
  const live = named.filter((key) => key.status !== 'revoked')
  const [found, second] = live.length > 0 ? live : named
  if (found === undefined) throw new CommandFailure(exitCode.failure, 'No proxy key has this id or name.')
  if (second === undefined) return found
  const ids = (live.length > 0 ? live : named).map((key) => `${key.id} (${key.status})`)
  throw new CommandFailure(
    exitCode.failure,
    `Several proxy keys are named ${found.name}. Use an id:\n  ${ids.join('\n  ')}`,
  )
}

/** The id in a whole token, which somebody found in a log and wants revoked; the rest of it is not sent anywhere. */
function idOfToken(text: string): ProxyKeyId | null {
  return parseProxyKeyId(tokenShape.exec(text)?.[1] ?? '')
}

async function getKey(client: AdminClient, id: ProxyKeyId): Promise<ProxyKeyWire | null> {
  try {
    return await client.call({ method: 'GET', path: `/api/keys/${id}`, answer: proxyKeyWire })
  } catch (error) {
    if (error instanceof AdminRefusal && error.code === 'not_found') return null
    throw error
  }
}
