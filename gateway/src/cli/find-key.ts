import { type ProxyKeyWire, proxyKeyPageWire, proxyKeyWire } from '@latchkey/shared'
import { type AdminClient, AdminRefusal } from './admin-client.ts'
import { everyPage } from './every-page.ts'
import { CommandFailure, exitCode } from './exit-code.ts'

const idShape = /^[0-9A-Za-z]{12}$/
/** A whole token: somebody found it in a log and wants it revoked. Only the id in it is used and sent. */
const tokenShape = /^[a-z]{2,17}_([0-9A-Za-z]{12})_[0-9A-Za-z]*$/

/**
 * The proxy key that `text` means: an id, a token, or a name that one key has (revoked ones count
 * only if no other has it). Throws `CommandFailure`.
 */
export async function findKey(client: AdminClient, text: string): Promise<ProxyKeyWire> {
  const id = tokenShape.exec(text)?.[1] ?? (idShape.test(text) ? text : null)
  const byId = id === null ? null : await getKey(client, id)
  if (byId !== null) return byId
  const named = tokenShape.test(text)
    ? []
    : await everyPage(client, '/api/keys', { name: text }, proxyKeyPageWire)
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

async function getKey(client: AdminClient, id: string): Promise<ProxyKeyWire | null> {
  try {
    return await client.call({ method: 'GET', path: `/api/keys/${id}`, answer: proxyKeyWire })
  } catch (error) {
    if (error instanceof AdminRefusal && error.code === 'not_found') return null
    throw error
  }
}
