/** What can stand in an authenticated encoding. */
export type Field = string | number | Uint8Array | null

const tags = { null: 0, string: 1, number: 2, bytes: 3 } as const

/**
 * `fields` as bytes from which they can be read back in only one way: a type byte, the length (u32be)
 * and the content of each. So no two different lists give the same bytes, whatever the fields hold.
 */
export function encodeFields(fields: readonly Field[]): Buffer {
  const parts: Uint8Array[] = []
  for (const field of fields) {
    const content = contentOf(field)
    const head = Buffer.alloc(5)
    head.writeUInt8(tagOf(field), 0)
    head.writeUInt32BE(content.length, 1)
    parts.push(head, content)
  }
  return Buffer.concat(parts)
}

function tagOf(field: Field): number {
  if (field === null) return tags.null
  if (typeof field === 'string') return tags.string
  if (typeof field === 'number') return tags.number
  return tags.bytes
}

function contentOf(field: Field): Uint8Array {
  if (field === null) return Buffer.alloc(0)
  if (typeof field === 'string') return Buffer.from(field, 'utf8')
  // Decimal digits: whatever integer a column can hold encodes, and in one way only.
  if (typeof field === 'number') return Buffer.from(String(field), 'latin1')
  return field
}
