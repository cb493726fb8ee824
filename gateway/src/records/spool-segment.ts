import { readFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { errorCode } from '@latchkey/shared'
import { parseRow, type RecordRow, rowText } from './record-row.ts'

/** A row as a line of a spool: its checksum (CRC-32, eight hexadecimal digits), a space, its JSON. */
export function spoolLine(row: RecordRow): string {
  const text = rowText(row)
  return `${checksum(text)} ${text}\n`
}

/** What a file of a spool holds. */
export interface SpoolSegment {
  readonly rows: readonly RecordRow[]
  /** Lines that were cut short or altered; the last one is, where its process died while it wrote. */
  readonly damaged: number
}

/** Reads a file of a spool, as far as it can be read; one that is gone is empty. Throws the errors of `node:fs`. */
export async function readSegment(file: string): Promise<SpoolSegment> {
  const lines = (await readText(file)).split('\n').filter((line) => line !== '')
  const rows = lines.map(readLine).filter((row) => row !== null)
  return { rows, damaged: lines.length - rows.length }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return ''
    throw error
  }
}

function readLine(line: string): RecordRow | null {
  const text = line.slice(9)
  return line === `${checksum(text)} ${text}` ? parseRow(text) : null
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0')
}
