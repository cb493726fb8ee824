import { columnNames, type RecordRow } from './record-row.ts'

/**
 * The columns of some rows, each as the text of a Postgres array with an element for every row: the parameters of a
 * statement that has `unnest` make rows of them again. Whatever is in a row stays in its own element.
 * Source: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
export function columnArrays(rows: readonly RecordRow[]): string[] {
  return columnNames.map((name) => {
    let last: unknown
    let text = 'NULL'
    const elements = rows.map((row) => {
      const value = row[name]
      // Most columns have the same in row after row.
      if (value !== last) {
        last = value
        text = element(value)
      }
      return text
    })
    return `{${elements.join()}}`
  })
}

function element(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return /["\\]/.test(value) ? `"${value.replace(/["\\]/g, '\\$&')}"` : `"${value}"`
    case 'number':
      // As in JSON, what is no number is nothing.
      return Number.isFinite(value) ? String(value) : 'NULL'
    case 'boolean':
    case 'bigint':
      return String(value)
    default:
      // JSON has no control characters, so that spelled as a JSON text it is as arrays have it.
      return value === null || value === undefined ? 'NULL' : JSON.stringify(JSON.stringify(value))
  }
}
