import { expect, test } from 'vitest'
import { pagesById } from '../../vault/src/pages.ts'

const size = 3

/** A table of which whoever walks it removes the even rows, and cannot remove the odd ones. */
async function walk(count: number) {
  const rows = new Map(Array.from({ length: count }, (_, index) => [String.fromCharCode(97 + index), index]))
  const after = (id = '') =>
    Promise.resolve(
      [...rows.keys()]
        .filter((each) => each > id)
        .slice(0, size)
        .map((each) => ({ id: each })),
    )
  const seen: string[][] = []
  for await (const page of pagesById(after)) {
    seen.push(page.map(({ id }) => id))
    for (const { id } of page) if ((rows.get(id) ?? 1) % 2 === 0) rows.delete(id)
  }
  return seen
}

test.each([
  [0, []],
  [3, ['abc']],
  [7, ['abc', 'def', 'g']],
])('%i rows are walked once each, whether they stay or go', async (count, pages) => {
  expect((await walk(count)).map((page) => page.join(''))).toEqual(pages)
})
