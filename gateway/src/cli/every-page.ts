import type { Page } from '@latchkey/shared'
import type { z } from 'zod'
import type { AdminClient } from './admin-client.ts'

/** Every item of a list, page after page. */
export async function everyPage<Item>(
  client: AdminClient,
  path: string,
  query: Readonly<Record<string, string | undefined>>,
  answer: z.ZodType<Page<Item>>,
): Promise<Item[]> {
  const items: Item[] = []
  let cursor: string | undefined
  do {
    const page = await client.call({ method: 'GET', path, query: { ...query, limit: 1000, cursor }, answer })
    items.push(...page.data)
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
  return items
}
