import { type GroupWire, groupPageWire, groupWire, isUuid } from '@latchkey/shared'
import { type AdminClient, AdminRefusal } from './admin-client.ts'
import { CommandFailure, exitCode } from './exit-code.ts'

/** The group of an id or a name. Throws `CommandFailure`. */
export async function findGroup(client: AdminClient, which: string): Promise<GroupWire> {
  const found = isUuid(which) ? await byId(client, which) : await byName(client, which)
  if (found !== undefined) return found
  throw new CommandFailure(exitCode.failure, 'No group has this name or id.')
}

async function byId(client: AdminClient, id: string): Promise<GroupWire | undefined> {
  try {
    return await client.call({ method: 'GET', path: `/api/groups/${id}`, answer: groupWire })
  } catch (error) {
    if (error instanceof AdminRefusal && error.code === 'not_found') return undefined
    throw error
  }
}

// In the query, since a name like `..` would be read as a step in a path.
async function byName(client: AdminClient, name: string): Promise<GroupWire | undefined> {
  if (name === '' || name.length > 128) return undefined
  const page = await client.call({
    method: 'GET',
    path: '/api/groups',
    query: { name },
    answer: groupPageWire,
  })
  return page.data[0]
}
