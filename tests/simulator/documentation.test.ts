import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { parseFaults } from '../../gateway/src/simulator/faults.ts'
import { defaultOptions } from '../../gateway/src/simulator/options.ts'

const page = await readFile(new URL('../../docs/simulator.md', import.meta.url), 'utf8')

/** The first two cells of each row of the table under `heading`. */
function rows(heading: string): string[][] {
  const section = page.slice(page.indexOf(`\n## ${heading}\n`) + 1).split(/\n## /)[0] ?? ''
  const [table = ''] = section.match(/(?:^\|.*\n)+/m) ?? []
  return table
    .trim()
    .split('\n')
    .slice(2)
    .map((row) =>
      row
        .split('|')
        .slice(1, 3)
        .map((cell) => cell.trim()),
    )
}

test('the page names every option and its default, and no other', () => {
  const documented = rows('Options').map(([name, value]) => [name, value])
  const actual = Object.entries(defaultOptions).map(([name, value]) => [
    `\`${name}\``,
    [value]
      .flat()
      .map((one) => `\`${one}\``)
      .join(', '),
  ])
  expect(documented).toEqual(actual)
})

test('every fault of the page is understood', () => {
  const directives = rows('Faults').map(([directive = '']) => directive.replaceAll('`', ''))
  expect(directives).toHaveLength(14)
  for (const directive of directives) {
    const spelling = directive.replace('=nbytes', '=7bytes').replace(/=(?:n|s|ms)$/, '=404')
    expect(() =>
      parseFaults(spelling.startsWith('retry-after') ? `status=429;${spelling}` : spelling),
    ).not.toThrow()
  }
})
