import { columnNames, type RecordRow } from './record-row.ts'

/**
 * The columns of some rows, each as the text of a Postgres array with an element for every row: the parameters of a
 * statement that has `unnest` make rows of them again. Whatever is in a row stays in its own element.
 * Source: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
export function columnArrays(rows: readonly RecordRow[]): string[] {
  return columnNames.map((name) => {
    let text = ''
    for (const row of rows) text += `,${element(row[name])}`
    return `{${text.slice(1)}}`
  })
}

function element(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return quoted(value)
    case 'number':
      // As in JSON, what is no number is nothing.
      return Number.isFinite(value) ? String(value) : 'NULL'
    case 'boolean':
    case 'bigint':
      return String(value)
    default:
      return value === null || value === undefined ? 'NULL' : quoted(JSON.stringify(value))
  }
}

function quoted(text: string): string {
  return /["\\]/.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : `"${text}"`
}
