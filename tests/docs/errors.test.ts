import { readFileSync } from 'node:fs'
import { catalogue, type Fault, type Plane } from '@latchkey/shared'
import { expect, test } from 'vitest'

const titles: Readonly<Record<Plane, string>> = {
  data: '## Data plane',
  admin: '## Admin plane',
  start: '## At the start',
}

function rows(plane: Plane): string {
  const faults: readonly (readonly [string, Fault])[] = Object.entries(catalogue)
  const cells = faults
    .filter(([, fault]) => fault.planes.includes(plane))
    .map(([code, { status, type, retryable, message }]) => {
      const kind = plane === 'start' ? '' : ` \`${type}\` |`
      return `| ${status} | \`${code}\` |${kind} ${retryable ? 'yes' : 'no'} | ${message} |`
    })
  return cells.sort((a, b) => Number(a.slice(2, 5)) - Number(b.slice(2, 5)) || (a < b ? -1 : 1)).join('\n')
}

function section(document: string, title: string): string {
  const start = document.indexOf(`${title}\n`)
  const end = document.indexOf('\n## ', start + 1)
  return document
    .slice(start, end === -1 ? undefined : end)
    .split('\n')
    .filter((line) => /^\| [0-9]/.test(line))
    .join('\n')
}

test.each(['data', 'admin', 'start'] as const)(
  'docs/errors.md lists exactly the catalogue of the %s plane',
  (plane) => {
    const document = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
    expect(section(document, titles[plane])).toBe(rows(plane))
  },
)
