import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const file = join(import.meta.dirname, '../docs/performance.md')
const begin = '<!-- Written by npm run bench -- --write-docs. -->'
const end = '<!-- Up to here. -->'

/** Puts a report into `docs/performance.md`, in place of the last one. Throws where its place is not marked there. */
export function writeDocs(markdown: string): void {
  const text = readFileSync(file, 'utf8')
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from === -1 || to < from) throw new Error(`${file} does not say where the report goes`)
  writeFileSync(file, `${text.slice(0, from + begin.length)}\n\n${markdown}\n\n${text.slice(to)}`)
}
