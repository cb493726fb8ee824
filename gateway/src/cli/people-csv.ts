import { readFileSync } from 'node:fs'
import { bulkKeysMost, type CreateProxyKeysWire, createProxyKeysWire } from '@latchkey/shared'
import { CsvError, parse } from 'csv-parse/sync'
import { z } from 'zod'
import { budgetShape, parseBudget } from './budget-option.ts'
import { CommandFailure, exitCode } from './exit-code.ts'
import { moment } from './option-values.ts'

/** A key for each person: what a row says of one. */
export type PersonKey = CreateProxyKeysWire['keys'][number]

/** The columns that a file may have, in any order, and the field of a key that each of them fills. */
const columns = {
  name: 'name',
  email: 'email',
  budget: 'budgets',
  models: 'models',
  expiry: 'expiresAt',
} as const
type Column = keyof typeof columns

const names: readonly string[] = Object.keys(columns)
const mostProblems = 10

/** A record, and the line of the file on which it ends. */
const recordsShape = z.array(z.object({ record: z.array(z.string()), info: z.object({ lines: z.number() }) }))

/**
 * Reads a file of people: a header of `name`, `email`, `budget`, `models` and `expiry` (only `name` is required),
 * then a row for each key. An empty cell leaves it to the command's options. `now` is milliseconds since the epoch.
 * Throws `CommandFailure`, which names lines and columns: one bad row refuses the whole file.
 */
export function readPeople(file: string, now: number): readonly PersonKey[] {
  const [header, ...rows] = readRecords(file)
  if (header === undefined) throw refuse(file, ['It is empty: the first line names the columns.'])
  const order = readHeader(file, header.record)
  const problems: string[] = []
  const people: PersonKey[] = []
  for (const { record, info } of rows) {
    if (record.length !== order.length) {
      problems.push(`line ${info.lines} has ${record.length} columns, and the header has ${order.length}`)
      continue
    }
    const person = readPerson(new Map(order.map((column, index) => [column, record[index] ?? ''])), now)
    if (person.kind === 'person') people.push(person.person)
    else problems.push(`line ${info.lines}, column ${person.column}: ${person.message}`)
  }
  if (problems.length > 0) throw refuse(file, problems)
  if (people.length === 0) throw refuse(file, ['It has no rows after its header.'])
  if (people.length > bulkKeysMost)
    throw refuse(file, [`It has ${people.length} rows; ${bulkKeysMost} at once are the most. Split it.`])
  return people
}

function readRecords(file: string): z.infer<typeof recordsShape> {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new CommandFailure(exitCode.failure, `The file ${file} cannot be read.`, error)
  }
  try {
    return recordsShape.parse(
      parse(text, {
        delimiter: delimiterOf(text),
        bom: true,
        trim: true,
        info: true,
        skip_empty_lines: true,
        relax_column_count: true,
      }),
    )
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    // The library's message quotes the cell.
    throw refuse(file, [`line ${String(error.lines)} is not CSV: a quote is out of place or not closed`])
  }
}

/** Spreadsheets write what is the custom of the country: the header tells which it is. */
function delimiterOf(text: string): string {
  const [header = ''] = text.split(/\r?\n/, 1)
  return [',', ';', '\t'].find((delimiter) => header.includes(delimiter)) ?? ','
}

function readHeader(file: string, record: readonly string[]): readonly Column[] {
  const order = record.map((text) => {
    const column = text.toLowerCase()
    if (isColumn(column)) return column
    throw refuse(file, [
      `line 1 has a column ${JSON.stringify(text.slice(0, 40))}; it may have ${names.join(', ')}`,
    ])
  })
  if (new Set(order).size < order.length) throw refuse(file, ['line 1 has a column twice'])
  if (!order.includes('name')) throw refuse(file, ['line 1 has no column "name"'])
  return order
}

function isColumn(text: string): text is Column {
  return names.includes(text)
}

type RowRead =
  | { readonly kind: 'person'; readonly person: PersonKey }
  | { readonly kind: 'bad'; readonly column: Column; readonly message: string }

function readPerson(cells: ReadonlyMap<Column, string>, now: number): RowRead {
  const { email, budget, models, expiry } = Object.fromEntries(cells)
  const budgets = budget ? splitCell(budget).map(parseBudget) : undefined
  if (budgets?.includes(null)) return { kind: 'bad', column: 'budget', message: `must be ${budgetShape}` }
  const expiresAt = expiry ? readMoment(expiry, now) : undefined
  if (expiresAt === null)
    return {
      kind: 'bad',
      column: 'expiry',
      message: 'must be a time like 2026-12-06T18:00:00Z, or a duration like 30d',
    }
  const parsed = createProxyKeysWire.shape.keys.element.safeParse({
    name: cells.get('name'),
    ...(email ? { email } : {}),
    ...(budgets ? { budgets } : {}),
    ...(models ? { models: splitCell(models) } : {}),
    ...(expiresAt ? { expiresAt } : {}),
  })
  if (parsed.success) return { kind: 'person', person: parsed.data }
  const [issue] = parsed.error.issues
  const column = Object.entries(columns).find(([, field]) => field === issue?.path[0])?.[0] ?? 'name'
  return {
    kind: 'bad',
    column: isColumn(column) ? column : 'name',
    message: issue?.message ?? 'is not valid',
  }
}

/** Several values in one cell, between commas, semicolons or spaces. */
function splitCell(text: string): string[] {
  return text.split(/[,;\s]+/).filter((item) => item !== '')
}

function readMoment(text: string, now: number): string | null {
  try {
    return moment(text, now)
  } catch {
    return null
  }
}

function refuse(file: string, problems: readonly string[]): CommandFailure {
  const shown = problems.slice(0, mostProblems).map((problem) => `  ${problem}`)
  const more = problems.length - shown.length
  if (more > 0) shown.push(`  and ${more} more`)
  return new CommandFailure(
    exitCode.failure,
    `${file} was refused, and no key was made:\n${shown.join('\n')}`,
  )
}
