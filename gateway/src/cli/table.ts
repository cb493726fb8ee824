import Table from 'cli-table3'
import { printable } from './terminal.ts'

export type Cell = string | number | null

const noBorders = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
} as const

/** Columns under lower-case headers, without rules. An empty cell shows as a hyphen. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return layOut([head, ...rows])
}

/** One thing, a field a line. */
export function fields(entries: readonly (readonly [name: string, value: Cell])[]): string {
  return layOut(entries)
}

function layOut(rows: readonly (readonly Cell[])[]): string {
  const table = new Table({
    chars: noBorders,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  })
  for (const row of rows) {
    table.push(
      row.map((cell) =>
        typeof cell === 'number' ? { content: String(cell), hAlign: 'right' } : { content: shown(cell) },
      ),
    )
  }
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

function shown(cell: string | null): string {
  return cell === null || cell === '' ? '-' : printable(cell)
}
