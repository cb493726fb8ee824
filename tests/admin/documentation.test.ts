import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { startAdminServer } from './admin-server.ts'

test('docs/admin-api.md lists every route, and no other', async () => {
  const { app } = await startAdminServer()
  const routes = app.routes
    .filter((route) => route.method !== 'ALL')
    .map((route) => `${route.method} ${route.path}`)
  const text = readFileSync(new URL('../../docs/admin-api.md', import.meta.url), 'utf8')
  const documented = [...text.matchAll(/^### `([A-Z]+ \/(?:api\/.*|metrics))`$/gm)].map(([, route]) => route)
  expect(documented.sort()).toEqual([...new Set(routes)].sort())
})
